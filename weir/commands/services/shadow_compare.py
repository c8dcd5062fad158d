"""`weir shadow compare` and `replay`: a model beside the champion, now and in the past."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from inference.control.commands import version_of
from inference.policy.policy import Policy
from inference.shadow.comparison.comparison import Comparison, CostVerdict, Verdict
from inference.shadow.comparison.report import as_dict
from inference.shadow.comparison.rows import NothingToCompareError
from inference.shadow.joining.candidates_compared import candidates_compared
from inference.shadow.joining.past import Past
from inference.shadow.shadow_book import ShadowBook, ShadowCommand
from streams.base.section import format_duration
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, progress_bar, stdout
from weir.cli.dates import FromOption, ToOption, moment, time_range_ms
from weir.commands.models.policy import read_policy
from weir.config.errors import SettingsError
from weir.config.settings import Settings, load_settings
from weir.services.candidates.compared import compared_now, judged, read_book
from weir.services.scorer_model import open_model, package_trials
from weir.services.wiring import admitted, open_registry, usage

_SHOWN = 10
_COUNTS = ("events", "champion_alerts", "candidate_alerts", "flips", "mature", "frauds")
_WORDS = {
    Verdict.BETTER: "the candidate costs less",
    Verdict.WORSE: "the candidate costs more",
    Verdict.NO_WORSE: "the candidate costs no more than the margin more",
    Verdict.INCONCLUSIVE: "inconclusive: that is no pass",
    Verdict.NO_COSTS: "none: [policy.costs] says nothing of what decisions cost",
}


SlicesOption = Annotated[
    str | None,
    typer.Option(
        "--slices",
        metavar="FIELD",
        help="Show slices by this field of feature_log.include, the worst ones first.",
    ),
]


def compare(
    name: Annotated[str, typer.Argument(help="The candidate's name.", show_default=False)],
    other: Annotated[
        str | None,
        typer.Argument(
            help="Another candidate's name, to compare it with the first one.", show_default=False
        ),
    ] = None,
    slices_by: SlicesOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Compare a candidate with the champion: how alike they are, who is right, what it costs.

    Reads the evidence that `weir shadow` has gathered. An event counts once it is as old as
    comparison.maturity, by the label that was known then. What is said holds however often one
    looks: of all candidates tried against a champion, the share of comparison.alpha at most is
    called better, or worse, and is not.

    With two names, the second candidate is compared with the first, which stands in the champion's
    place: by all that is kept on the topic of shadow scores, and the labels.
    """
    settings = load_settings(config)
    if slices_by is not None and slices_by not in settings.comparison.slice_by:
        raise SettingsError(
            f"--slices: figures are not kept apart by {slices_by!r}: name it in "
            "comparison.slice_by, and start `weir shadow` anew"
        )
    rights = acls_of(Process.COMPARISON, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    with named_denials(kafka, rights):
        book = read_book(settings, kafka)
        for each in [name] if other is None else [name, other]:
            candidate_of(book, each)
        if other is None:
            _, compared = next(compared_now(settings, kafka, book, [name]))
        else:
            with progress_bar("reading shadow scores", not (as_json or no_progress)) as step:
                gathered = candidates_compared(
                    kafka, settings.topics, settings.terms(), name, other, step
                )
            compared = judged(settings, gathered, 1)
    if isinstance(compared, NothingToCompareError):
        raise compared
    _tell(other or name, compared, settings, slices_by, as_json=as_json)


def replay(
    version: Annotated[
        str,
        typer.Argument(
            help="Version or alias of a model in the registry, or the first digits of its id.",
            show_default=False,
        ),
    ],
    start: FromOption = None,
    stop: ToOption = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="TOML file with a [policy] section, in place of the settings' one."),
    ] = None,
    slices_by: SlicesOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Compare what a model, or a policy, would have said of the past with what was said.

    Asks the model about the very vectors that were scored, out of the feature log, as far back as
    that is kept; the report is that of `weir shadow compare`.
    """
    settings = load_settings(config)
    if slices_by is not None and slices_by not in settings.feature_log.include:
        known = ", ".join(settings.feature_log.include) or "none"
        raise SettingsError(f"--slices: {slices_by!r} is not in feature_log.include ({known})")
    terms = settings.terms([] if slices_by is None else [slices_by])
    first_ms, end_ms = time_range_ms(start, stop)
    show = not (as_json or no_progress)
    said = settings.policy if policy is None else read_policy(policy)
    rights = acls_of(Process.REPLAY, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    registry = open_registry(settings)
    model = open_model(
        settings, registry, version_of(registry.get(version)), package_trials(settings)
    )
    with model.engine, named_denials(kafka, rights):
        model.engine.warm_up()
        past = Past(
            terms,
            infer=model.engine.infer,
            names=settings.plan().names,
            model=model.package.short_id,
            policy=Policy(said, model.package.thresholds),
        )
        topics = settings.topics
        with progress_bar("asking about the past", show) as step:
            past.ask(kafka, topics.feature_log, first_ms=first_ms, end_ms=end_ms, progress=step)
        with progress_bar("reading labels", show) as step:
            compared = judged(settings, past.judge(kafka, topics.labels, step), 1)
    _tell(version, compared, settings, slices_by, as_json=as_json)


def candidate_of(book: ShadowBook, name: str) -> ShadowCommand:
    """What was said of a candidate.

    Raises:
        SettingsError: there is none of this name.
    """
    found = book.commands.get(name)
    if found is None:
        raise SettingsError(
            f"there is no candidate {name!r}: `weir shadow status` lists them "
            f"({', '.join(sorted(book.commands)) or 'none now'})"
        )
    return found


def _tell(
    name: str, compared: Comparison, settings: Settings, by: str | None, *, as_json: bool
) -> None:
    """Print a comparison, by a field if one is named."""
    told = {"candidate": name, **as_dict(compared)}
    if as_json:
        print_json(told)
        return
    _print(name, told, compared, settings)
    if by is not None:
        stdout.print(_slices(by, told["slices"][by][:_SHOWN]))


def _slices(by: str, found: list[dict[str, Any]]) -> Table:
    heads = ("events", "alerts", "its alerts", "flips", "mature", "frauds", "saved")
    table = Table(by, *heads, title="slices: they describe, and decide nothing")
    for each in found:
        saved = "-" if each["saved"] is None else f"{each['saved']:,.0f}"
        value = "-" if each["value"] is None else str(each["value"])
        table.add_row(value, *(f"{each[count]:,}" for count in _COUNTS), saved)
    return table


def _print(name: str, told: dict[str, Any], compared: Comparison, settings: Settings) -> None:
    watermark = compared.gathered.watermark
    age = format_duration(settings.terms().maturity)
    stdout.print(
        f"candidate {name}: model {told['candidate']} beside champion {told['champion']}, policy "
        f"{told['policy']}",
        soft_wrap=True,
    )
    left_out = ", ".join(f"{count:,} {why}" for why, count in told["left_out"].items())
    reached = "none" if watermark is None else moment(watermark, "s")
    stdout.print(
        f"{told['events']:,} events{f' ({left_out} left out)' if left_out else ''}; "
        f"{told['mature']:,} are {age} old or more by event time "
        f"{reached} UTC, {told['unlabelled']:,} of these without a label; {told['waiting']:,} wait",
        soft_wrap=True,
    )
    stdout.print(_decisions(told))
    stdout.print(_figures(told))
    if compared.cost is not None:
        stdout.print(_costs(compared.cost))
    stdout.print(f"verdict: {_WORDS[compared.verdict]}")


def _decisions(told: dict[str, Any]) -> Table:
    table = Table("champion \\ candidate", *told["decisions"], title="decisions")
    for first, row in told["decisions"].items():
        amounts = told["amounts"][first]
        table.add_row(
            first, *(f"{count:,} ({amounts[second]:,.0f})" for second, count in row.items())
        )
    return table


def _figures(told: dict[str, Any]) -> Table:
    table = Table("figure", "champion", "candidate", "difference, at all looks")
    for label, found in (("recall", told["recall"]), ("legitimate approved", told["friction"])):
        pair = [found["champion"], found["candidate"]]
        only = f"{found['only_champion_right']:,} : {found['only_candidate_right']:,} right alone"
        table.add_row(label, *("-" if each is None else f"{each:.4f}" for each in pair), only)
    for label in ("average_precision", "auc"):
        curve = told[label]
        if curve is not None:
            table.add_row(
                label.replace("_", " "),
                f"{curve['champion']:.4f}",
                f"{curve['candidate']:.4f}",
                _interval(curve["interval"], 4),
            )
    cards, calibration = told["card_precision"], told["calibration"]
    if cards is not None:
        both = (f"{cards[each]:.4f}" for each in ("champion", "candidate"))
        table.add_row(f"card precision, {cards['cards_per_day']} a day", *both, "")
    if calibration is not None:
        both = (f"{calibration[each]['error']:.4f}" for each in ("champion", "candidate"))
        table.add_row("calibration error", *both, "")
    table.add_row("rank correlation of scores", "", f"{told['spearman']:.4f}", "")
    return table


def _costs(cost: CostVerdict) -> Table:
    table = Table("cost", "", title=f"per event, a missed fraud at most {cost.costs.cap:,.0f}")
    table.add_row("saved per event", f"{cost.mean:.4f} ({_interval(cost.interval, 4)})")
    table.add_row("events with other decisions", f"{cost.discordant:,} of {cost.events:,}")
    if cost.censored is not None:
        told = cost.censored
        table.add_row(
            "declined by the champion alone",
            f"{told.events:,}: {told.let_through:,} let through, {told.only_bounded:,} unknown",
        )
        table.add_row("saved, whatever these were", _interval(told.bounds, 4))
    bound = np.log(1 / cost.alpha)
    for label, found in (("costs less", cost.log_better), ("costs more", cost.log_worse)):
        table.add_row(f"evidence that it {label}", f"{found:.2f}, enough from {bound:.2f} on")
    table.add_row("labels still needed", _needed(cost))
    return table


def _needed(cost: CostVerdict) -> str:
    labels, by = cost.needed.labels, cost.needed_by
    if labels is None:
        return "not in sight"
    return f"about {labels:,}" + ("" if by is None else f", by {moment(by, 's')} UTC")


def _interval(found: tuple[float, float] | None, digits: int) -> str:
    if found is None:
        return "too little for an interval yet"
    return f"{found[0]:.{digits}f} to {found[1]:.{digits}f}"
