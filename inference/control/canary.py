"""Which arms are tried beside the champion, on live traffic, by the control topic."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from inference.control.commands import (
    Author,
    CommandError,
    ControlEntry,
    Lenient,
    ModelVersion,
    PackageId,
    Remark,
    Withdrawal,
    read_entry,
)
from inference.control.signatures import CommandKeys, UntrustedCommandError, check_entry
from streams.base.clock import now_ms
from streams.feature_log import CHAMPION_ARM
from streams.kafka.records.control_topic import ControlRecord

logger = logging.getLogger(__name__)

CANARY = "canary"
"""The key of the record, what a key of `signing.trusted_keys` may do, and the arm that steps."""

MOST_ARMS = 3
"""Beside the champion."""

ArmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")]


class ArmShare(Lenient):
    """A model, and its share of the keys; one of 0 is kept ready, and asked nothing."""

    name: ArmName
    model: ModelVersion
    share: float = Field(ge=0, le=1)


class CanaryCommand(ControlEntry):
    """Under `CANARY`: these arms answer for their shares of the keys, the champion for the rest.

    Attributes:
        experiment: its name; what keys are mixed by, so that another one mixes them anew.
        champion: the package beside which it was begun.
        arms: the first one's keys stay its own when its share grows.
        state: ``running``; ``paused``: shares stay as they are until a person says so.
        begun: when the experiment was, UTC milliseconds.
        stepped: when the shares became what they are, UTC milliseconds.
        by, note, at: who said so, why, and when.
    """

    experiment: ArmName
    champion: PackageId
    arms: tuple[ArmShare, ...] = Field(min_length=1, max_length=MOST_ARMS)
    state: Literal["running", "paused"] = "running"
    begun: int
    stepped: int
    by: Author
    note: Remark = ""
    at: int

    @model_validator(mode="after")
    def _shares_fit(self) -> "CanaryCommand":
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names) or CHAMPION_ARM in names:
            raise ValueError(f"names of arms differ, and none is {CHAMPION_ARM!r}")
        if (whole := sum(arm.share for arm in self.arms)) > 1 + 1e-9:
            raise ValueError(f"the shares of the arms have a sum of {whole:g}, and 1 is all keys")
        return self

    @classmethod
    def begin(
        cls, champion: str, arms: Sequence[ArmShare], *, by: str, note: str = ""
    ) -> "CanaryCommand":
        """The command that begins an experiment now, beside the package of a champion.

        Raises:
            ValidationError: its arms don't fit together, or a text is too long.
        """
        now = now_ms()
        stamp = datetime.fromtimestamp(now / 1_000, UTC).strftime("%Y%m%dT%H%M%S")
        return cls(
            experiment=f"v{arms[0].model.version}-{stamp}",
            champion=champion,
            arms=tuple(arms),
            begun=now,
            stepped=now,
            by=by,
            note=note,
            at=now,
        )

    @property
    def canary(self) -> ArmShare:
        """The arm that steps."""
        return self.arms[0]

    @property
    def most(self) -> float:
        """The share that the other arms leave to the one that steps."""
        return 1.0 - sum(arm.share for arm in self.arms[1:])

    def stepped_to(self, share: float, by: str, note: str, at: int) -> "CanaryCommand":
        """The command that gives the canary another share, and lets it run.

        Raises:
            ValidationError: the shares would have a sum of more than 1.
        """
        arms = (self.canary.model_copy(update={"share": share}), *self.arms[1:])
        new = {"arms": arms, "state": "running", "by": by, "note": note}
        return CanaryCommand(**self.model_dump() | new | {"stepped": at, "at": at})


class CanaryBook:
    """Hears which arms there are, in the order of the control topic.

    Args:
        keys: whose commands count. Of signed ones, one that is no later than what stands is
            refused: whoever may write, but has no key, could say it again.
    """

    def __init__(self, keys: CommandKeys) -> None:
        self._keys = keys
        self._stands: CanaryCommand | Withdrawal | None = None

    @property
    def said(self) -> CanaryCommand | None:
        """What stands; None where there are no arms."""
        return self._stands if isinstance(self._stands, CanaryCommand) else None

    @property
    def since(self) -> int:
        """When what stands was said, that there are no arms included; 0 for nothing."""
        return 0 if self._stands is None else self._stands.at

    @property
    def ended(self) -> Withdrawal | None:
        """How the last experiment ended, where none runs."""
        return self._stands if isinstance(self._stands, Withdrawal) else None

    def stand(self, said: CanaryCommand | Withdrawal) -> None:
        """Take note of what we have said ourselves, which comes back from the topic as well."""
        self._stands = said

    def hear(self, record: ControlRecord) -> bool:
        """Take note of a record, if it is of the arms; whether it is, and counts."""
        if record.key != CANARY:
            return False
        try:
            self._stands = self._admitted(record)
        except (CommandError, UntrustedCommandError) as error:
            logger.error("refused: %s", error)
            return False
        return True

    def _admitted(self, record: ControlRecord) -> CanaryCommand | Withdrawal | None:
        author = self._keys.author(record)
        said = read_entry(CanaryCommand, record)
        if said is not None:
            check_entry(record, author, said, self._stands)
        return said
