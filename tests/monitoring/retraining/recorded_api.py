"""An API server of Kubernetes as far as Jobs go: its answers are those of the real one."""

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "token-of-the-controller"
USER = "system:serviceaccount:fraud:weir-controller"
_PLACE = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+))?")


class RecordedApi:
    """Keeps Jobs in memory.

    Attributes:
        jobs: by name.
        forbidden: verbs that no rule allows.
        fails: answers each request with this status and text, where set.
        silent: answers nothing while it is set.
        asked: verb and query of each request, the latest last.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.jobs: dict[str, dict[str, Any]] = {}
        self.forbidden: set[str] = set()
        self.fails: tuple[int, str] | None = None
        self.silent = threading.Event()
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.host = ""

    @contextmanager
    def running(self) -> Iterator["RecordedApi"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self.host = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.silent.clear()
            server.shutdown()
            server.server_close()
            thread.join()

    def kubeconfig(self, path: Path, token: str = TOKEN) -> Path:
        """A file by which clients find it."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.host}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(config))
        return path

    def end(self, name: str, how: str) -> None:
        """As the cluster's controller of Jobs writes it down: ``Complete`` or ``Failed``."""
        meanwhile = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[how]
        conditions = [{"type": each, "status": "True"} for each in (meanwhile, how)]
        self.jobs[name]["status"] = {"conditions": conditions}

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        found = _PLACE.fullmatch(path)
        assert found is not None, path
        namespace, name = found.groups()
        verb = {"POST": "create", "GET": "get" if name else "list", "DELETE": "delete"}[method]
        self.asked.append((verb, query))
        if self.fails is not None:
            return self.fails
        if verb in self.forbidden:
            target = "jobs.batch" + (f' "{name}"' if name else "")
            return _failure(
                403,
                "Forbidden",
                f'{target} is forbidden: User "{USER}" cannot {verb} resource "jobs" in API group '
                f'"batch" in the namespace "{namespace}"',
            )
        if verb == "create":
            return self._create(namespace, body)
        if verb == "list":
            ((key, value),) = (each.split("=") for each in query["labelSelector"])
            items = [
                job for job in self.jobs.values() if job["metadata"]["labels"].get(key) == value
            ]
            return 200, {
                "kind": "JobList",
                "apiVersion": "batch/v1",
                "metadata": {},
                "items": items,
            }
        if namespace != self.namespace or name not in self.jobs:
            return _failure(404, "NotFound", f'jobs.batch "{name}" not found')
        if verb == "get":
            return 200, self.jobs[name]
        del self.jobs[name]
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _create(self, namespace: str, job: Any) -> tuple[int, Any]:
        if namespace != self.namespace:
            return _failure(404, "NotFound", f'namespaces "{namespace}" not found')
        name = job["metadata"]["name"]
        if name in self.jobs:
            return _failure(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        job["metadata"] |= {"namespace": namespace, "uid": str(uuid.uuid4())}
        self.jobs[name] = job | {"status": {}}
        return 201, self.jobs[name]


def _failure(code: int, reason: str, message: str) -> tuple[int, Any]:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return code, status | {"message": message, "reason": reason, "code": code}


def _handler(api: RecordedApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            while api.silent.is_set():
                sleep(0.02)
            url = urlsplit(self.path)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                code, said = _failure(401, "Unauthorized", "Unauthorized")
            else:
                code, said = api.answer(self.command, url.path, parse_qs(url.query), body)
            text = said if isinstance(said, str) else json.dumps(said)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler
