"""Dawid-Skene, and its model of one error rate for each rule, as crowd-kit has them."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.environment import output_of, python_with

_PACKAGES = ["crowd-kit==1.4.2"]
_SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene
votes, known, says = (np.load(path) for path in sys.argv[1:4])
events, rules = votes.shape
table = pd.DataFrame({
    "task": np.repeat(np.arange(events), rules),
    "worker": np.tile(np.arange(rules), events),
    "label": votes.ravel().astype(int),
})
gold = pd.Series(known, name="label")[known >= 0].astype(int)
gold.index.name = "task"
index = pd.MultiIndex.from_product([range(rules), (0, 1)], names=["worker", "label"])
rows = []
for rule in range(rules):
    fires = [votes[known == label, rule].mean() for label in (0, 1)]
    rows += [[1 - each for each in fires], fires]
start = pd.DataFrame(np.clip(rows, 1e-6, 1), index=index, columns=[0, 1])
model = DawidSkene(n_iter=2000, tol=0, initial_error_strategy="assign")
model.fit(table, true_labels=gold, initial_error=start)
errors = model.errors_.xs(1, level="label").sort_index()
opinion = table.assign(label=np.where(says[table.worker] == 1, table.label, 1 - table.label))
coin = OneCoinDawidSkene(n_iter=100).fit(opinion)
found = coin.labels_.reindex(range(events)).to_numpy() == 1
rates = [[float(votes[found == side, rule].mean()) if (found == side).any() else 0.0
          for rule in range(rules)] for side in (True, False)]
print(json.dumps({
    "prior": float(model.priors_[1]),
    "true_positive": errors[1].tolist(),
    "false_positive": errors[0].tolist(),
    "one_coin": {"frauds": int(found.sum()), "true_positive": rates[0], "false_positive": rates[1]},
}))
"""


def crowd_kit(
    votes: NDArray[np.int8], known: NDArray[np.int8], says: NDArray[np.int8]
) -> dict[str, Any]:
    """Ask crowd-kit for the prior and the rates of the rules.

    Args:
        votes: 1 where a rule fires, else 0, (n, r).
        known: 1 for fraud, 0 for legitimate, -1 for unknown, (n,); clamped, and where it begins.
        says: 1 for rules that speak of fraud, 0 for those that speak of legitimate events, (r,);
            the model of one error rate needs to know.

    Raises:
        subprocess.CalledProcessError: it can't be installed, or failed.
    """
    python = python_with("crowd-kit", _PACKAGES)
    with TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{name}.npy") for name in ("votes", "known", "says")]
        for path, values in zip(paths, (votes, known, says), strict=True):
            np.save(path, values)
        found: dict[str, Any] = json.loads(output_of([python, "-c", _SCRIPT, *paths]))
    return found
