"""Other libraries on the same rows, each in an environment of its own, made at the first run."""

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.environment import output_of, python_with

_EVIDENTLY = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, now = (pd.DataFrame(np.load(path)).add_prefix("f") for path in sys.argv[1:3])
report = Report([DataDriftPreset()])
report.run(now[:1000], reference[:1000])
start = time.process_time()
report.run(now, reference)
print(json.dumps(len(now) / (time.process_time() - start)))
"""
_RIVER = """
import json, sys, time
import numpy as np
from river.drift import ADWIN
now = np.load(sys.argv[2])[:2000]
detectors = [ADWIN() for _ in range(now.shape[1])]
start = time.process_time()
for row in now.tolist():
    for detector, value in zip(detectors, row):
        detector.update(value)
print(json.dumps(len(now) / (time.process_time() - start)))
"""
PEERS = {
    "evidently (data drift preset)": (["evidently==0.7.23", "pandas<3"], _EVIDENTLY),
    "river (ADWIN)": (["river"], _RIVER),
}


def rates(
    reference: NDArray[np.float32], rows: NDArray[np.float32], folder: Path
) -> dict[str, Any]:
    """Events per second of processor time of each peer; or why it could not be asked.

    Args:
        folder: where environments are kept.
    """
    found: dict[str, Any] = {}
    with TemporaryDirectory() as scratch:
        paths = [Path(scratch) / name for name in ("reference.npy", "rows.npy")]
        for path, values in zip(paths, (reference, rows), strict=True):
            np.save(path, values)
        for name, (packages, script) in PEERS.items():
            try:
                python = python_with(name.split()[0], packages, folder)
                found[name] = json.loads(output_of([python, "-c", script, *map(str, paths)]))
            except subprocess.CalledProcessError as error:
                found[name] = f"could not be run: {error.stderr.strip().splitlines()[-1:]}"
    return found
