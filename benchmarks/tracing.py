"""What traces cost a scorer: CPU time per event without them, as a share of that with them.

A share of the events has a `traceparent` that is sampled; the others have no headers. The same
topic is scored in turns, in one process on one core: with `[tracing]`, where each such event makes
a span that is sent by OTLP to a collector in a process of its own, and without. CPU time is that of
all threads, so what it takes to send the spans is in it.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from benchmarks.scorer import CORES, broker_apart, prepare, publish, run_scorer
from benchmarks.scorer_versions import Run, stage_table
from streams.files.event_file import open_events
from streams.tracing.settings import TracingSettings
from streams.tracing.tracer import Tracer
from weir.config.settings import load_settings
from weir.services.tracing import opened_tracer
from weir.training.registering import train_and_register

TARGET = 0.7
WITHOUT, WITH = "without", "with traces"


class Collector(BaseHTTPRequestHandler):
    """Takes whatever comes."""

    def do_POST(self) -> None:
        """Read it, and say so."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Measure both in turns, and report."""
    config, events = prepare(folder, args)
    settings = load_settings(config)
    file = open_events(events, settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    runs: dict[str, list[Run]] = {WITHOUT: [], WITH: []}
    sent = 0.0
    with collector() as endpoint, broker_apart(folder) as kafka:
        begun = TracingSettings(sample=args.share)
        with Tracer(begun, InMemorySpanExporter(), lambda *_: None) as tracer:
            publish(file, kafka, settings, tracer)
        os.sched_setaffinity(0, {CORES[0]})
        for turn in range(args.pairs + 1):
            for name, tracing in ((WITHOUT, None), (WITH, TracingSettings(endpoint=endpoint))):
                loop = settings.loop.model_copy(update={"group": f"{name[:5].strip()}-{turn}"})
                own = settings.model_copy(update={"loop": loop, "tracing": tracing})
                prometheus = CollectorRegistry()
                with opened_tracer(tracing, prometheus) as tracer:
                    run = run_scorer(own, kafka, len(file), tracer=tracer).run
                assert run is not None
                print(f"{name} {turn}: {run.cpu:.2f} us of CPU per event", file=sys.stderr)
                sent = _counted(prometheus, "exported")
                if turn:  # the first ones compile and warm up
                    runs[name].append(run)
    pairs = list(zip(*runs.values(), strict=True))
    ratio = median(one.cpu / two.cpu for one, two in pairs)
    report(
        args,
        name="tracing",
        figure=round(ratio, 3),
        unit="of the rate per CPU second without traces",
        target=TARGET,
        met=ratio >= TARGET,
        details={
            "events": len(file),
            "share": args.share,
            "spans_sent": sent,
            "ratios": [round(one.cpu / two.cpu, 3) for one, two in pairs],
            "us_per_event": {name: [run.as_dict() for run in each] for name, each in runs.items()},
        },
        text="\n".join([f"{sent:,.0f} spans of {len(file):,} events", "", *stage_table(runs)]),
    )


def _counted(prometheus: CollectorRegistry, outcome: str) -> float:
    return prometheus.get_sample_value("weir_tracing_spans_total", {"outcome": outcome}) or 0.0


@contextmanager
def collector() -> Iterator[str]:
    """A collector in a process of its own; where it takes spans."""
    server = HTTPServer(("127.0.0.1", 0), Collector)
    process = get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    server.server_close()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    process.kill()
    process.join()


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "",
        events={"type": int, "default": 200_000},
        share={"type": float, "default": 0.01, "help": "of the events, that are traced"},
        pairs={"type": int, "default": 3, "help": "how often to measure both (default: 3)"},
    )
    args.handbook = args.before = None
    with tempfile.TemporaryDirectory(prefix="weir-tracing-") as name:
        measure(args, Path(name))


if __name__ == "__main__":
    main()
