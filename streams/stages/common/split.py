"""A feature plan in parts: what can be computed beside the key, and what needs other places."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.events.record_headers import type_of
from streams.features.declarations import CalendarFeature, FeatureDeclaration, FieldFeature
from streams.features.plan import FeaturePlan


@dataclass(frozen=True)
class EntityPart:
    """The features of one entity that are computed where all its events are.

    Attributes:
        plan: only these features.
        columns: where they stand in the whole vector.
        fields: what an event must carry for them, its id first.
        digest: tells features of other declarations from these.
    """

    entity: str
    plan: FeaturePlan
    columns: NDArray[np.intp]
    fields: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class StagedPlan:
    """A feature plan for three stages.

    Attributes:
        whole: the plan that was split; its schema hash is that of the answers.
        parts: what the entity stages compute.
        local: fields, calendar and the key's windows, computed beside the scorer; None if no
            feature is of these.
        local_columns: where they stand in the whole vector.
        fields: what an event must carry to be scored: id, key, what goes along, what `local` reads.
        digest: tells events that carry other fields from these.
    """

    whole: FeaturePlan
    parts: tuple[EntityPart, ...]
    local: FeaturePlan | None
    local_columns: NDArray[np.intp]
    fields: tuple[str, ...]
    digest: str


def split_plan(plan: FeaturePlan, key: str | None, carried: Sequence[str] = ()) -> StagedPlan:
    """Split a plan by entity; all windows of one entity stay together.

    Args:
        key: the field that partitions events: all events of a value are in one partition, so its
            windows need no stage of their own, unless they read labels, which are elsewhere. None
            if events are partitioned by nothing that is declared.
        carried: fields, and headers of records, that go along to the scorer, beside those that
            features read there.
    """
    with_labels = {entity.entity for entity in plan.entities if entity.label_column >= 0}
    local: list[int] = []
    by_entity: dict[str, list[int]] = {}
    for column, declaration in enumerate(plan.declarations):
        entity = getattr(declaration, "entity", None)
        if isinstance(declaration, FieldFeature | CalendarFeature) or (
            entity == key and entity not in with_labels
        ):
            local.append(column)
        else:
            by_entity.setdefault(str(entity), []).append(column)
    contract = plan.contract
    parts = tuple(
        _part(entity, columns, plan, (contract.id, entity)) for entity, columns in by_entity.items()
    )
    local_plan = FeaturePlan(_at(plan, local), contract) if local else None
    fields = _fields(_at(plan, local), (contract.id, contract.key, *carried))
    return StagedPlan(
        plan, parts, local_plan, np.array(local, np.intp), fields, _digest(plan, fields)
    )


def _part(
    entity: str, columns: list[int], plan: FeaturePlan, always: tuple[str, ...]
) -> EntityPart:
    declarations = _at(plan, columns)
    part = FeaturePlan(declarations, plan.contract)
    fields = _fields(declarations, always)
    return EntityPart(entity, part, np.array(columns, np.intp), fields, _digest(part, fields))


def _at(plan: FeaturePlan, columns: list[int]) -> list[FeatureDeclaration]:
    return [plan.declarations[column] for column in columns]


def _fields(declarations: list[FeatureDeclaration], always: tuple[str, ...]) -> tuple[str, ...]:
    read = [
        getattr(declaration, role, None)
        for declaration in declarations
        for role in ("entity", "field")
    ]
    return tuple(dict.fromkeys([*always, *(name for name in read if name is not None)]))


def _digest(plan: FeaturePlan, fields: tuple[str, ...]) -> str:
    types = [(name, type_of(plan.contract, name)) for name in fields]
    return hashlib.sha256(f"{plan.schema_hash}{types}".encode()).hexdigest()[:16]
