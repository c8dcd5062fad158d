"""What becomes of a new model of `weir train` or `weir models import`: a candidate, or promoted."""

from typing import Annotated, Any

import typer

from inference.packages.registry import CHAMPION_ALIAS, RegisteredModel
from weir.cli.console import print_json, stdout
from weir.commands.models.outcome import show_outcome
from weir.commands.models.promote import promoted
from weir.commands.models.rooms import commanding_room
from weir.config.settings import Settings

AliasOption = Annotated[
    str | None,
    typer.Option(help="Alias to give the new model in the registry.", show_default=False),
]
PromoteOption = Annotated[
    bool, typer.Option("--promote", help="Make it champion, as `weir models promote` does.")
]


def check_promotable(settings: Settings, by: str | None) -> None:
    """Find out before long work whether a model could be promoted after it.

    Raises:
        SettingsError: nobody is named who does it.
        KafkaUnavailableError: there is no cluster to say it to.
        AuthorizationError: we may not.
    """
    with commanding_room(settings, by):
        pass


def names_of(model: RegisteredModel) -> str:
    """What the registry calls a model, in words to append."""
    return f" as {', '.join(model.aliases)}" if model.aliases else ""


def finish(
    settings: Settings,
    model: RegisteredModel,
    described: dict[str, Any],
    promote: bool,
    by: str | None,
    note: str,
    wait: float,
    as_json: bool,
) -> None:
    """Promote a new model, or say how; for programs, print all of it.

    Args:
        described: the model, for programs.

    Raises:
        InferenceError: it can't be promoted; it stays registered.
        typer.Exit: a scorer refuses it.
    """
    if promote:
        outcome = promoted(settings, model.version, by, note, wait, as_json)
        outcome.said = described | {"promotion": outcome.said}
        show_outcome(outcome, as_json)
    elif as_json:
        print_json(described)
    elif CHAMPION_ALIAS not in model.aliases:
        stdout.print(f"a candidate: `weir models promote {model.version}` makes it champion")
