"""What was found of a model, read from the topic of comparisons."""

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from inference.canary.gate_record import GateRecord
from inference.gates.gates import Findings
from inference.gates.record import ComparisonRecord, is_comparison
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end


def read_findings(kafka: KafkaSettings, topic: str, package: str) -> Findings:
    """The last records that are of this package; those that can't be read say nothing.

    Raises:
        KafkaException: the cluster failed.
    """
    return last_findings(read_records(kafka, topic, package))


def last_findings(records: Iterable[ComparisonRecord | GateRecord]) -> Findings:
    """The last of each kind, of records of one package."""
    shadow: ComparisonRecord | None = None
    canary: GateRecord | None = None
    for record in records:
        if isinstance(record, ComparisonRecord):
            shadow = record
        else:
            canary = record
    return Findings(shadow, canary)


def read_records(
    kafka: KafkaSettings, topic: str, package: str | None = None
) -> Iterator[ComparisonRecord | GateRecord]:
    """All records that can be read, in their order; none where there is no such topic yet.

    Args:
        package: only those that are of it, as a candidate or a canary; None for all.

    Raises:
        KafkaException: the cluster failed.
    """
    try:
        for batch in read_to_end(kafka, topic):
            for message in batch:
                key = (message.key() or b"").decode(errors="replace")
                found = _record(key, message.value() or b"")
                if found is not None and package in (None, _package(found)):
                    yield found
    except ValueError:  # there is no such topic: nobody has found anything yet
        return


def _package(record: ComparisonRecord | GateRecord) -> str:
    model = record.model if isinstance(record, ComparisonRecord) else record.arms[0].model
    return model.package


def _record(key: str, value: bytes) -> ComparisonRecord | GateRecord | None:
    kind = ComparisonRecord if is_comparison(key) else GateRecord
    try:
        return kind.model_validate_json(value)
    except ValidationError:
        return None
