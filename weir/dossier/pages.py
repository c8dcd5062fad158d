"""A dossier in words: which model, its gates, and who decided what."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from inference.packages.package import Card, ModelPackage
from streams.base.clock import utc
from weir.dossier.blocks import (
    Block,
    Cell,
    Line,
    Page,
    Section,
    Table,
    Tone,
    count,
    facts,
    figure,
    row,
)
from weir.dossier.canary_pages import canary_section
from weir.dossier.collect import Decision, Dossier
from weir.dossier.shadow_pages import evidence_section, shadow_section

_TONES: dict[str, Tone] = {"passed": "good", "open": "unsure", "failed": "bad"}


def page_of(dossier: Dossier, *, vouched: bool) -> Page:
    """The dossier as a page.

    Args:
        vouched: whether the file's SHA-256 becomes an act of the store.
    """
    model, decision = dossier.model, dossier.decision
    vouches = (
        "Its SHA-256 is an act of the store of explanations."
        if vouched
        else "There is no store of explanations that would vouch for this file."
    )
    return Page(
        title=f"Promotion dossier: model {model.package_id[:12]}, version {model.version}",
        under=f"Made {utc(dossier.made, 's')} by {dossier.by}, with Weir {version('weir')}, of "
        f"what stood in the registry and on the topics then. {vouches}",
        status=_status(dossier),
        sections=(
            _gates(decision, dossier.enforced),
            _promotion(dossier),
            _model(dossier),
            shadow_section(dossier.look, model.version),
            *evidence_section(dossier.history.looks),
            canary_section(dossier.history.phases, model.version),
            *_training(dossier.package),
            *_unreadable(dossier.history.unreadable),
        ),
    )


def missing(dossier: Dossier) -> list[str]:
    """What is not known of the model, and which command would find it."""
    number = dossier.model.version
    lines = []
    if dossier.package is None:
        lines.append(f"its package can't be read: {dossier.no_package}")
    if dossier.look is None:
        lines.append(
            f"nothing was found of it in the shadow: `weir shadow add {number}`, then `weir "
            "shadow` and `weir judge`"
        )
    if not dossier.history.phases:
        lines.append(
            f"it was no canary: `weir canary start {number}`, then `weir canary run` keeps it"
        )
    return lines


def _status(dossier: Dossier) -> Cell:
    gates, made = dossier.decision.gates, dossier.promotions
    not_passed = [gate.name for gate in gates if gate.state != "passed"]
    if dossier.serves:
        since = f" since {utc(made[-1].command.at, 's')}" if made else ", as the registry says"
        waived = " (gates were waived)" if made and made[-1].command.waived else ""
        return Cell(f"champion{since}{waived}", "unsure" if waived else "good")
    if made or dossier.was_champion:
        return Cell("it was champion, and is no more", "unsure")
    if not gates:
        return Cell("no champion to be better than: it has no gates", "unsure")
    if not not_passed:
        return Cell("all gates are passed; it is not promoted", "good")
    failed = any(gate.state == "failed" for gate in gates)
    return Cell(f"not passed: {', '.join(not_passed)}", "bad" if failed else "unsure")


def _model(dossier: Dossier) -> Section:
    model, decision, package = dossier.model, dossier.decision, dossier.package
    beside, former = decision.champion, decision.registered
    blocks: list[Block] = [
        facts(
            ("version", " ".join([str(model.version), *model.aliases])),
            ("package", model.package_id),
            ("registered", utc(model.created, "s")),
            ("champion beside it", beside or ""),
            ("its version", "" if former is None else str(former.version)),
        )
    ]
    if package is None:
        blocks.append(Line(f"Its package can't be read: {dossier.no_package}"))
    else:
        blocks.append(_card(package.card))
    figures = model.metrics
    others = {} if former is None else former.metrics
    blocks.append(
        Table(
            ("on its own hold-out rows", "model", "champion"),
            tuple(
                row(name.replace("_", " "), _metric(figures.get(name)), _metric(others.get(name)))
                for name in sorted({*figures, *others})
            ),
            (0.6, 0.2, 0.2),
            frozenset({1, 2}),
        )
    )
    return Section("The model", tuple(blocks))


def _training(package: ModelPackage | None) -> Sequence[Section]:
    """The parameters, two beside each other."""
    if package is None:
        return ()
    flat = _flat(package.card.parameters)
    half = -(-len(flat) // 2)
    right = [*flat[half:], ("", "")]
    rows = tuple(row(*flat[place], "", *right[place]) for place in range(half))
    heads = ("parameter", "value", "", "parameter", "value")
    table = Table(heads, rows, (0.34, 0.13, 0.06, 0.34, 0.13), frozenset({1, 4}))
    return (Section("How it was trained", (table,)),)


def _card(card: Card) -> Block:
    data, source = card.data, card.source
    return facts(
        ("training data", f"{data.rows:,} events, {data.frauds:,} frauds"),
        ("their time", f"{utc(data.first_time, 's')} to {utc(data.last_time, 's')}"),
        ("their SHA-256", data.sha256),
        *(data.version.facts() if data.version else ()),
        ("code", f"weir {card.code_version}"),
        ("libraries", ", ".join(f"{name} {each}" for name, each in sorted(card.libraries.items()))),
        ("seed", str(card.seed)),
        ("feature schema", card.feature_schema_hash),
        ("imported from", "" if source is None else f"{source.file}, by {source.producer}"),
        ("its SHA-256", "" if source is None else source.sha256),
    )


def _flat(parameters: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names with dots, and values as texts."""
    flat = []
    for name, value in sorted(parameters.items()):
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((prefix + name, str(value)))
    return flat


def _metric(value: float | None) -> str:
    return count(value) if value is not None and value > 1 else figure(value, 5)


def _gates(decision: Decision, enforced: bool) -> Section:
    if decision.champion is None:
        return Section("Gates", (Line("It has none: no other champion is known beside it."),))
    rows = tuple(
        row(gate.name, Cell(gate.state, _TONES[gate.state]), gate.why) for gate in decision.gates
    )
    blocks: list[Block] = [Table(("gate", "state", "why"), rows, (0.2, 0.12, 0.68))]
    waiver = decision.waiver
    if waiver is not None:
        blocks.append(
            facts(("waived by", f"{waiver.by}, {utc(waiver.at, 's')}"), ("because", waiver.note))
        )
    elif any(gate.state != "passed" for gate in decision.gates):
        blocks.append(Line("No waiver stands for it beside this champion.", small=True))
    if not enforced:
        blocks.append(
            Line("gates.enforce is false: a promotion names them, and goes on.", small=True)
        )
    when = "before its promotion" if decision.when == "promotion" else "now"
    return Section("Gates", tuple(blocks), f"{when}, {utc(decision.at, 's')}")


def _promotion(dossier: Dossier) -> Section:
    blocks: list[Block] = []
    for promotion in dossier.promotions:
        said, former = promotion.command, promotion.former
        blocks.append(
            facts(
                ("came back" if promotion.rollback else "promoted", utc(said.at, "s")),
                ("by", said.by),
                ("note", said.note),
                ("gates", said.waived),
                ("champion before", "none is known" if former is None else str(former)),
            )
        )
    if not blocks:
        blocks.append(Line(_not_promoted(dossier)))
    return Section("Promotion", tuple(blocks))


def _not_promoted(dossier: Dossier) -> str:
    if dossier.serves:
        return "It is champion as the registry says; nobody has said so on the control topic."
    if dossier.was_champion:
        return (
            "It was champion. The record of that is gone: of each key the control topic keeps the "
            "latest one."
        )
    return f"It was not promoted. `weir models promote {dossier.model.version}` would do it."


def _unreadable(found: int) -> Sequence[Section]:
    if not found:
        return ()
    text = f"{found:,} records of this model could not be read, and are left out."
    return (Section("Left out", (Line(text),)),)
