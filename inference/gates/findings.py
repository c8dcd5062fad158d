"""What was last found of a model, read from the topic of comparisons."""

from pydantic import ValidationError

from inference.canary.gate_record import GateRecord
from inference.gates.gates import Findings
from inference.gates.record import ComparisonRecord, is_comparison
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end


def read_findings(kafka: KafkaSettings, topic: str, package: str) -> Findings:
    """The last records that are of this package; those that can't be read say nothing.

    Raises:
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """
    shadow: ComparisonRecord | None = None
    canary: GateRecord | None = None
    for batch in read_to_end(kafka, topic):
        for message in batch:
            key = (message.key() or b"").decode(errors="replace")
            value = message.value() or b""
            try:
                if is_comparison(key):
                    found = ComparisonRecord.model_validate_json(value)
                    shadow = found if found.model.package == package else shadow
                else:
                    gate = GateRecord.model_validate_json(value)
                    canary = gate if gate.arms[0].model.package == package else canary
            except ValidationError:
                continue
    return Findings(shadow, canary)
