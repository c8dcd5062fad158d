"""What all benchmarks share: options, and one object that says what was measured where."""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_LIBRARIES = ("confluent-kafka", "numpy", "numba", "msgspec", "pyarrow", "onnxruntime", "lightgbm")

DATA = Path(
    os.environ.get("WEIR_TEST_DATA") or Path(__file__).parents[1].parent / "shared" / "data"
)
"""Where real data sets are, unless --data says otherwise."""


def arguments(description: str, **extra: dict[str, Any]) -> argparse.Namespace:
    """Parse ``--quick``, ``--json`` and the options of this benchmark (name to `add_argument`)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="under 60 seconds, less exact")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, options in extra.items():
        parser.add_argument(f"--{name}", **options)
    return parser.parse_args()


def hardware() -> dict[str, Any]:
    """The machine and the versions that a figure belongs to."""
    model = platform.processor()
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        **{name: version(name) for name in _LIBRARIES},
    }


def report(
    args: argparse.Namespace,
    *,
    name: str,
    figure: float | None,
    unit: str,
    target: float | None,
    met: bool | None,
    details: dict[str, Any],
    text: str,
) -> None:
    """Print the result: one JSON object with ``--json``, else `text` and the figure."""
    if args.json:
        result = {
            "name": name,
            "figure": figure,
            "unit": unit,
            "target": target,
            "met": met,
            "details": {**details, "hardware": hardware(), "quick": args.quick},
        }
        print(json.dumps(result, indent=2, default=str))
        return
    print(text)
    verdict = "" if met is None else ("  met" if met else "  NOT MET")
    goal = "" if target is None else f"  (target {target:g})"
    value = "-" if figure is None else f"{figure:.4g}"
    print(f"\n{name}: {value} {unit}{goal}{verdict}")
