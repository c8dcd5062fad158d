"""The blast radius of a canary's step, by the feature log and the canary's package of now."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from inference.canary.blast_radius import BlastRadius, blast_radius
from inference.canary.recent_events import RecentEvents, read_recent
from inference.control.canary import CanaryCommand
from inference.policy.floor import BoundedPolicies
from inference.policy.policy import PolicySettings
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from weir.config.settings import Settings
from weir.services.scorer_model import open_model, package_trials
from weir.services.wiring import admitted, open_registry, usage

MOST_EVENTS = 200_000
_AT_ONCE = 4_096

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def radius_of(
    settings: Settings, after: CanaryCommand, former: float, policy: PolicySettings, bar: Bar
) -> BlastRadius:
    """Look at the newest events, and ask the canary about those that the champion answered.

    Args:
        after, former: see `blast_radius`.
        policy: the one that holds.
        bar: shows how far a piece of work is.

    Raises:
        WeirError: the events can't be read, or there are none.
        ValueError: there is no feature log.
        KafkaException: the cluster failed.
    """
    topic = settings.topics.feature_log
    rights = [acl for acl in acls_of(Process.REPLAY, usage(settings)) if acl.name == topic]
    kafka, _ = admitted(settings, lambda _: rights)
    with named_denials(kafka, rights), bar("reading the newest events") as progress:
        recent = read_recent(
            kafka,
            topic,
            names=settings.plan().names,
            champion=after.champion[:12],
            amount=settings.terms().amount,
            most=MOST_EVENTS,
            progress=progress,
        )
    if not recent.own.any():
        return blast_radius(recent, after, former, None, "the champion answered none of them")
    answers, why = _answers(settings, after, recent, policy, bar)
    return blast_radius(recent, after, former, answers, why)


def _answers(
    settings: Settings, after: CanaryCommand, recent: RecentEvents, policy: PolicySettings, bar: Bar
) -> tuple[NDArray[np.int8] | None, str]:
    """What the canary says of what the champion answered itself; or why it says nothing."""
    asked = np.flatnonzero(recent.own)
    try:
        with bar("trying the canary's package"):
            model = open_model(
                settings, open_registry(settings), after.canary.model, package_trials(settings)
            )
        decides = BoundedPolicies(settings.policy, settings.policy_floor).fit(
            policy, model.package.thresholds
        )
        with model.engine, bar("asking the canary") as progress:
            model.engine.warm_up()
            answers = []
            for first in range(0, asked.size, _AT_ONCE):
                rows = asked[first : first + _AT_ONCE]
                answers.append(decides.decide(model.engine.infer(recent.features[rows])))
                progress(first + rows.size, asked.size)
        return np.concatenate(answers), ""
    except Exception as error:  # the engine is a library's; all else is known without it
        return None, f"the canary can't be asked: {error}"
