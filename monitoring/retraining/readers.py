"""What the records of the drift topic and of the topic of comparisons mean to the controller."""

import logging

import msgspec
from pydantic import ValidationError

from inference.gates.record import ComparisonRecord, is_comparison
from monitoring.episodes.episode import DECODE_EPISODE
from monitoring.retraining.events import EpisodeHeard, VerdictHeard
from monitoring.retraining.state import OpenEpisode

logger = logging.getLogger(__name__)


def read_episode(key: bytes | None, value: bytes | None) -> EpisodeHeard | None:
    """How an episode stands; None where the record says nothing of one."""
    if value is None:
        return None
    try:
        said = DECODE_EPISODE(value)
    except (msgspec.MsgspecError, ValueError) as error:
        logger.error("passing a record of the drift topic that is no episode: %s", error)
        return None
    found = OpenEpisode(
        said.id, said.model, said.kind, said.began, said.words, said.retraining, said.breakages
    )
    return EpisodeHeard(found, said.state == "open")


def read_verdict(key: bytes | None, value: bytes | None) -> VerdictHeard | None:
    """How a candidate fares; None where the record says nothing of one."""
    if value is None or not is_comparison((key or b"").decode(errors="replace")):
        return None
    try:
        said = ComparisonRecord.model_validate_json(value)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        logger.error("passing a record of comparisons that can't be read: %s", problem)
        return None
    if not said.is_of_its_model:
        return None
    return VerdictHeard(said.name, said.model.package, said.verdict.value)
