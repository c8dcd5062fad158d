"""Records of whole batches."""

import pytest
from answered import answered, writer_of

from explain.lime.settings import ExplainSettings
from explain.record.parts import ModelPart
from explain.record.record import read
from explain.writing.part_builders import model_part
from inference.packages.package import ModelPackage


def test_which_model_answered_is_put_together_once_for_all_events(
    model: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ModelPart] = []

    def noted(package: ModelPackage, number: int, backend: str, precision: str) -> ModelPart:
        made.append(model_part(package, number, backend, precision))
        return made[-1]

    monkeypatch.setattr("explain.writing.record_writer.model_part", noted)
    events = answered(model, 30)[0]
    records = [read(data) for _, data in writer_of(model, ExplainSettings()).write(events)]
    assert len(records) == len(events) > 1
    (part,) = made
    assert {record.model for record in records} == {part}
    assert (part.package, part.version) == (model.id, 7)
    assert (part.backend, part.precision) == ("cpu", "float32")
