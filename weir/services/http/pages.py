"""What a process's HTTP port says: `/metrics`, `/livez` and `/readyz`."""

from collections.abc import Callable, Sequence
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streams.base.safe_text import json_text, safe_text
from weir.services.http.health import Health
from weir.services.http.routes import Answer, Page, Request


def pages_of(process: str, health: Health, metrics: CollectorRegistry) -> dict[str, Page]:
    """The pages of every process, by path."""
    return {
        "/metrics": lambda request: _metrics(request, metrics),
        "/livez": lambda request: _state(request, process, "alive", health.not_alive),
        "/readyz": lambda request: _state(request, process, "ready", health.not_ready),
    }


def _metrics(request: Request, metrics: CollectorRegistry) -> Answer:
    encode, content_type = choose_encoder(request.accept)
    return Answer(HTTPStatus.OK, content_type, encode(metrics))


def _state(
    request: Request, process: str, state: str, problems_of: Callable[[], Sequence[str]]
) -> Answer:
    """200 where there are no problems, else 503 with each of them."""
    problems = problems_of()
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    if request.query.get("format") == "json" or "application/json" in request.accept:
        said = {"process": process, state: not problems, "problems": list(problems)}
        return Answer(status, "application/json", json_text(said).encode() + b"\n")
    text = "".join(f"not {state}: {safe_text(problem)}\n" for problem in problems) or f"{state}\n"
    return Answer(status, "text/plain; charset=utf-8", text.encode())
