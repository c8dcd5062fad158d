"""Sends alarms to a webhook, in a thread of its own.

An alarm is a JSON object. Headers say which (`X-Weir-Delivery`, the same at each try, so that a
receiver can tell a repeat) and prove who sent it: `X-Weir-Signature: t=SECONDS,v1=HEX`, where HEX
is HMAC-SHA256 of ``SECONDS.BODY`` under the secret.
"""

import hmac
import logging
import uuid
from collections.abc import Mapping
from hashlib import sha256
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import time

import msgspec
import requests
from prometheus_client import CollectorRegistry

from monitoring.alerts.settings import AlertSettings
from streams.base.counted import counter_by
from streams.base.secrets import secret_of

logger = logging.getLogger(__name__)

_LOOK_S = 0.2
_LONGEST_WAIT_S = 30.0
_BUSY = {408, 425, 429}
"""Answers that pass, besides 5xx; another one is the same whenever one asks."""


class Webhook:
    """Where alarms go; a context manager. Without a URL they go nowhere.

    Args:
        registry: shows ``weir_alerts_sent_total{outcome}``.
    """

    def __init__(self, settings: AlertSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._url = secret_of(settings, "url")
        self._secret = (secret_of(settings, "secret") or "").encode()
        self._sent = counter_by(
            "outcome",
            ("delivered", "failed", "dropped"),
            "weir_alerts_sent",
            "Alarms to the webhook, by what became of them",
            registry,
        )
        self._waiting: Queue[bytes] = Queue(settings.max_waiting)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="webhook", daemon=True)
        if self._url is not None:
            self._thread.start()

    def __enter__(self) -> "Webhook":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, alarm: Mapping[str, object]) -> None:
        """Take an alarm, to be sent soon. Never waits, never fails; any thread may call.

        Args:
            alarm: what msgspec makes JSON of; anything else in it is sent as its text.
        """
        if self._url is None:
            return
        try:
            self._waiting.put_nowait(msgspec.json.encode(dict(alarm), enc_hook=str))
        except Full:
            self._sent.labels("dropped").inc()
            logger.error("an alarm is dropped: %d wait for the webhook", self._waiting.qsize())
        except (TypeError, ValueError, RecursionError) as error:
            self._sent.labels("failed").inc()
            logger.error("an alarm is no JSON: %s", error)

    def close(self) -> None:
        """Try what waits once more each, for as long as one answer may take, and end."""
        self._stop.set()
        if self._url is not None:
            self._thread.join(self._settings.timeout / 1e3 + 2 * _LOOK_S)
        if left := self._waiting.qsize():
            logger.error("%d alarms were not sent: the process ends", left)

    def _run(self) -> None:
        with requests.Session() as session:
            while True:
                try:
                    body = self._waiting.get(timeout=_LOOK_S)
                except Empty:
                    if self._stop.is_set():
                        return
                else:
                    outcome = "delivered" if self._deliver(session, body) else "failed"
                    self._sent.labels(outcome).inc()

    def _deliver(self, session: requests.Session, body: bytes) -> bool:
        """Try until it is taken, refused for good, or given up; whether it was taken."""
        delivery, wait_s = str(uuid.uuid4()), self._settings.first_wait / 1e3
        for left in reversed(range(self._settings.tries)):
            problem, passes = self._post(session, delivery, body)
            if not problem:
                return True
            if not passes or not left or self._stop.is_set():
                break
            logger.warning("the webhook %s: trying again in %.1f s", problem, wait_s)
            self._stop.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        logger.error("alarm %s was not delivered, the webhook %s", delivery, problem)
        return False

    def _post(self, session: requests.Session, delivery: str, body: bytes) -> tuple[str, bool]:
        """What went wrong, if anything, in words without the address; whether that passes."""
        headers = {"Content-Type": "application/json", "X-Weir-Delivery": delivery}
        if self._secret:
            now = str(int(time()))
            proof = hmac.new(self._secret, now.encode() + b"." + body, sha256).hexdigest()
            headers["X-Weir-Signature"] = f"t={now},v1={proof}"
        timeout_s = self._settings.timeout / 1e3
        try:
            # Nothing follows a redirection: what was signed for one address is not for another.
            with session.post(
                self._url or "",
                data=body,
                headers=headers,
                timeout=timeout_s,
                allow_redirects=False,
                stream=True,
            ) as answer:
                status = answer.status_code
        except (requests.RequestException, OSError, ValueError) as error:
            return f"can't be reached ({type(error).__name__})", True
        if status // 100 == 2:
            return "", True
        return f"answered {status}", status // 100 == 5 or status in _BUSY
