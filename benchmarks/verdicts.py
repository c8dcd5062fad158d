"""False verdicts under continuous peeking, and what looking at any time costs in labels.

Null runs of 5,000 labels of discordant pairs (the others change nothing), looked at after each one.
Frauds are reported after Exp(3 d); a label enters at its event's age of 7 d, as fraud if it was
reported by then; beside it, what happens if it enters on arrival instead. Two nulls:

  even      either model is right as often, among frauds and among legitimate events; the frauds
            that the candidate alone catches are reported earlier than those of the champion
  stricter  the candidate declines more, and catches as much as it annoys: the mean loss is equal

The figure is the largest share of runs with a false superiority, of any verdict in any null, by
maturity. Then the labels until a true difference is seen: of 60/40 decisions beside an exact
one-sided binomial test of fixed size, and of average precision beside one look at the end.
"""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from inference.policy.policy import APPROVE, DECLINE
from inference.shadow.statistics.asymptotic import FRAUDS, radius
from inference.shadow.statistics.betting import log_factors
from inference.shadow.statistics.costs import Costs, loss_differences
from inference.shadow.statistics.curves import average_precision, difference
from inference.shadow.statistics.mcnemar import log_e_better
from inference.shadow.statistics.several import log_mean_e

ALPHA = 0.05
TARGET, PASSES = 0.05, 0.06
"""Of 2,000 runs, the spread of a share of .05 is half a point."""
LABELS = 5_000
RUNS, CURVE_RUNS = 2_000, 200
DAYS, MATURITY_D, DELAY_D = 40.0, 7.0, 3.0
FRAUD_SHARE = 0.3
AMOUNT = (4.3, 1.2)
CAP = 500.0
LOOKS = range(1_000, 40_001, 1_000)
T_OPT = 20_000
_AT_ONCE = 20


def main() -> None:
    """Simulate, and report."""
    args = arguments(__doc__ or "")
    runs, curve_runs = (200, 10) if args.quick else (RUNS, CURVE_RUNS)
    nulls = {name: false_verdicts(name, runs) for name in ("even", "stricter")}
    decisions = sixty_forty(runs)
    curves = {shift: average_precisions(shift, curve_runs) for shift in (0.0, 0.15, 0.3)}
    worst = max(max(found["by maturity"].values()) for found in nulls.values())
    met = (
        worst <= PASSES
        and decisions["ratio"] <= 1.1
        and (args.quick or curves[0.0]["found"] <= ALPHA)
    )
    report(
        args,
        name="verdicts",
        figure=worst,
        unit="share of null runs with a false superiority, looked at after every label",
        target=TARGET,
        met=met,
        details={
            "runs": runs,
            "labels": LABELS,
            "nulls": nulls,
            "sixty_forty": decisions,
            "average_precision_runs": curve_runs,
            "average_precision_shift_sd": {str(shift): each for shift, each in curves.items()},
        },
        text=table(nulls, decisions, curves),
    )


def false_verdicts(null: str, runs: int) -> dict[str, dict[str, float]]:
    """Shares of runs with a false superiority, by how labels enter and by verdict."""
    generator = np.random.default_rng((1, len(null)))
    bound = first_significant(LABELS)
    alarms: dict[str, dict[str, int]] = {}
    for _ in range(runs // _AT_ONCE):
        fraud, won, delay, amount, event = discordant_pairs(null, generator)
        factors = cost_factors(null, fraud, won, amount)
        known = np.where(fraud, delay, MATURITY_D)
        for entry, entered in {"by maturity": event, "by arrival": event + known}.items():
            order = np.argsort(entered, axis=1)
            found = alarms.setdefault(entry, {})
            cost = cost_alarms(np.take_along_axis(factors, order[..., None], axis=1))
            found["cost"] = found.get("cost", 0) + cost
            if null == "even":
                sides = (np.take_along_axis(each, order, axis=1) for each in (fraud, won))
                for name, raised in class_alarms(*sides, bound).items():
                    found[name] = found.get(name, 0) + raised
    return {
        entry: {name: count / runs for name, count in found.items()}
        for entry, found in alarms.items()
    }


def discordant_pairs(null: str, generator: np.random.Generator) -> tuple[NDArray[Any], ...]:
    """Label at maturity, candidate right or not, days to the report, amount, day of the event."""
    shape = (_AT_ONCE, LABELS)
    event = np.sort(generator.uniform(0, DAYS, shape), axis=1)
    delay = generator.exponential(DELAY_D, shape)
    fraud = (generator.random(shape) < FRAUD_SHARE) & (delay < MATURITY_D)
    if null == "even":
        # Of reported frauds, the place among delays is uniform: a half is right in the mean.
        place = np.expm1(-delay / DELAY_D) / math.expm1(-MATURITY_D / DELAY_D)
        chance = np.where(fraud, 0.8 - 0.6 * place, 0.5)
    else:
        chance = np.where(fraud, 0.7, 0.3)
    won = generator.random(shape) < chance
    return fraud, won, delay, generator.lognormal(*AMOUNT, shape), event


def cost_factors(
    null: str, fraud: NDArray[np.bool_], won: NDArray[np.bool_], amount: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log of what each pair multiplies each bet by, (runs, labels, K)."""
    reported = FRAUD_SHARE * -math.expm1(-MATURITY_D / DELAY_D)
    # In the stricter null, what is caught more is as much as the friction that it costs.
    friction = 5.0 if null == "even" else reported / (1 - reported) * mean_capped_amount()
    costs = Costs(CAP, friction, review=2.0)
    declines = np.where(won == fraud, DECLINE, APPROVE).ravel()
    champion = np.where(declines == DECLINE, APPROVE, DECLINE)
    found = loss_differences(champion, declines, fraud.ravel(), amount.ravel(), costs)
    return log_factors(found, costs.worst_difference).reshape(*fraud.shape, -1)


def mean_capped_amount() -> float:
    """E[min(amount, cap)] of the lognormal."""
    mean, deviation = AMOUNT
    z = (math.log(CAP) - mean) / deviation
    below = math.exp(mean + deviation**2 / 2) * norm.cdf(z - deviation)
    return float(below + CAP * norm.sf(z))


def cost_alarms(factors: NDArray[np.float64]) -> int:
    """Runs whose mixture of bets reaches 1/alpha after any label."""
    evidence = log_mean_e(np.cumsum(factors, axis=1))
    return int((evidence >= -math.log(ALPHA)).any(axis=1).sum())


def class_alarms(
    fraud: NDArray[np.bool_], won: NDArray[np.bool_], bound: NDArray[np.int64]
) -> dict[str, int]:
    """Runs whose McNemar evidence reaches 1/alpha after any label, per class."""
    found = {}
    for name, member in {"recall": fraud, "friction": ~fraud}.items():
        wins, total = np.cumsum(won & member, axis=1), np.cumsum(member, axis=1)
        found[name] = int((wins >= bound[total]).any(axis=1).sum())
    return found


def first_significant(most: int) -> NDArray[np.int64]:
    """Fewest wins of n pairs whose evidence reaches 1/alpha, for n = 0 ... most; n + 1 if none."""
    total = np.arange(most + 1)
    low, high = np.zeros_like(total), total + 1
    while (low < high).any():
        middle = (low + high) // 2
        enough = log_e_better(middle, np.maximum(total - middle, 0)) >= -math.log(ALPHA)
        high, low = np.where(enough, middle, high), np.where(enough, low, middle + 1)
        low = np.minimum(low, high)
    return high


def sixty_forty(runs: int) -> dict[str, float]:
    """Discordant labels until 60/40 is seen, beside a test of fixed size with 80 % power."""
    won = np.cumsum(np.random.default_rng(2).random((runs, 2_000)) < 0.6, axis=1)
    seen = won >= first_significant(2_000)[1:]
    median = float(np.median(np.where(seen.any(axis=1), seen.argmax(axis=1) + 1, np.inf)))
    size = np.arange(1, 1_000)
    power = binom.sf(binom.isf(ALPHA, size, 0.5), size, 0.6)
    # The power of a discrete test goes up in saw teeth: its first crossing is the hardest target.
    fixed = int(size[power >= 0.8][0])
    return {"median": median, "fixed_size": fixed, "ratio": median / fixed}


def average_precisions(shift: float, runs: int) -> dict[str, float | None]:
    """Share of runs that find the candidate better in 40 looks, and by one look at the last.

    One fraud in a hundred; both scores have noise of their own, and the candidate's frauds lie
    ``shift`` standard deviations higher.
    """
    generator = np.random.default_rng((3, round(100 * shift)))
    needed, at_end = [], 0
    for _ in range(runs):
        labels = generator.random(LOOKS[-1]) < 0.01
        signal = generator.normal(size=len(labels)) + 2.0 * labels
        noise = generator.normal(scale=0.5, size=(2, len(labels)))
        scores = (signal + noise[0], signal + noise[1] + shift * labels)
        frauds = math.inf
        for look in LOOKS:
            seen = labels[:look]
            found = difference(*(average_precision(seen, each[:look]) for each in scores))
            # One-sided: twice alpha.
            half = radius(look, found.deviation, 2 * ALPHA, T_OPT)
            if seen.sum() >= FRAUDS and found.value > half and math.isinf(frauds):
                frauds = float(seen.sum())
        needed.append(frauds)
        at_end += found.value > norm.isf(ALPHA) * found.deviation / math.sqrt(LOOKS[-1])
    return {
        "found": float(np.isfinite(needed).mean()),
        "median_frauds": float(median) if math.isfinite(median := np.median(needed)) else None,
        "found_by_one_look": at_end / runs,
    }


def table(
    nulls: dict[str, dict[str, dict[str, float]]],
    decisions: dict[str, float],
    curves: dict[float, dict[str, float | None]],
) -> str:
    """All figures, to read."""
    lines = ["false superiority       by maturity   by arrival"]
    for null, found in nulls.items():
        for verdict, share in found["by maturity"].items():
            other = found["by arrival"][verdict]
            lines.append(f"{null + ', ' + verdict:<22} {share:>12.2%} {other:>12.2%}")
    lines += [
        "",
        f"60/40: median {decisions['median']:g} discordant labels, fixed size"
        f" {decisions['fixed_size']:g}, ratio {decisions['ratio']:.2f}",
        "",
        "average precision     40 looks   median frauds   one look at the end",
    ]
    for shift, each in curves.items():
        lines.append(
            f"shift {shift:<12.2f} {each['found']:>11.1%} {each['median_frauds'] or '-':>15}"
            f" {each['found_by_one_look']:>21.1%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
