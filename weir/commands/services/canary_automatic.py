"""What the canary's keeper does without a person, where `canary.automatic` lets it."""

import logging
from collections.abc import Callable
from time import monotonic

from inference.canary.board import CanaryBoard
from inference.control.canary import CANARY, ArmShare, CanaryCommand
from inference.control.signatures import CommandKeys
from inference.gates.findings import read_records
from inference.gates.next_canary import next_canary
from inference.packages.registry import Registry
from streams.base.clock import now_ms
from streams.base.errors import WeirError
from streams.kafka.client import KafkaSettings
from weir.commands.models.promote import promoted
from weir.commands.models.rooms import usable_model, viewing_room
from weir.config.settings import Settings
from weir.services.candidates.compared import read_book
from weir.services.candidates.promotion_gates import champion_of, gates_before

logger = logging.getLogger(__name__)

_REST, _LONGEST_REST_S = 20, 30.0
"""Of its time, a twentieth goes to reading all that was found."""
_WAIT_S = 10.0
"""For the scorers to say that they have taken up a champion."""


class AutomaticCanary:
    """Begins a canary, and makes one champion, in the keeper's name; for one thread.

    Args:
        board: the keeper's.
        by: in whose name it commands.
        clock: seconds, from any beginning.
    """

    def __init__(
        self,
        settings: Settings,
        kafka: KafkaSettings,
        keys: CommandKeys,
        registry: Registry,
        *,
        board: CanaryBoard,
        by: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._kafka, self._keys, self._registry = kafka, keys, registry
        self._board, self._by, self._clock = board, by, clock
        self._again_at = 0.0
        self._given_up: set[str] = set()

    def begin(self) -> str | None:
        """Begin a canary where no experiment runs; its name, or None where nothing is fit for it.

        Raises:
            KafkaException, PublishError: the cluster failed.
        """
        if self._settings.canary.automatic == "steps":
            return None
        return self._now_and_then(self._begin)

    def promote(self) -> str | None:
        """Make the canary champion whose last step is over; its experiment, or None.

        Raises:
            KafkaException, PublishError: the cluster failed.
        """
        said = self._board.said
        if self._settings.canary.automatic != "promotion" or said is None:
            return None
        if said.experiment in self._given_up:
            return None
        return self._now_and_then(lambda: self._promote(said))

    def _now_and_then(self, act: Callable[[], str | None]) -> str | None:
        begun = self._clock()
        if begun < self._again_at:
            return None
        try:
            return act()
        except WeirError as error:
            logger.warning("can't go on without a person, trying again: %s", error)
            return None
        finally:
            took = self._clock() - begun
            self._again_at = self._clock() + min(_REST * took, _LONGEST_REST_S)

    def _begin(self) -> str | None:
        settings = self._settings
        with viewing_room(settings, gates=True) as room:
            champion = champion_of(room, self._registry)
            policy = room.policy_or(settings.policy).version
        if champion is None:
            return None
        book = read_book(settings, self._kafka)
        first = sorted(book.wanted.items(), key=lambda each: book.place(each[0]))
        records = read_records(self._kafka, settings.topics.comparisons)
        found = next_canary(dict(first), records, champion, policy, settings.gates, now_ms())
        if found is None:
            return None
        name, model = found
        usable_model(settings, self._registry, str(model.version))
        arm = ArmShare(name=CANARY, model=model, share=settings.canary.steps[0])
        note = f"candidate {name} has passed the gates before a canary"
        logger.info("beginning a canary: %s, %s", model, note)
        begun = CanaryCommand.begin(champion, [arm], by=self._by, note=note)
        return self._board.give(begun).experiment

    def _promote(self, said: CanaryCommand) -> str | None:
        settings, model = self._settings, said.canary.model
        with viewing_room(settings, gates=True) as room:
            gates = gates_before(
                settings, self._kafka, room, self._registry, model.package, self._keys
            )
        # Whatever gates.enforce says: to pass over one is for a person.
        if gates.champion != said.champion or gates.not_passed:
            return None
        logger.info("making %s champion: it has passed all gates", model)
        note = f"experiment {said.experiment} has passed all gates"
        outcome = promoted(settings, model.version, self._by, note, _WAIT_S, quiet=True)
        if outcome.failed:
            self._given_up.add(said.experiment)
            logger.error("%s is for a person to look after: %s", model, outcome.said["problems"])
            return None
        return said.experiment
