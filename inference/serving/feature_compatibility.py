"""Whether a model's features mean today what they meant when it was trained."""

import json
from typing import Any

from inference.engine.protocol import EngineError
from inference.packages.package import ModelPackage
from streams.features.plan import FeaturePlan


def check_feature_compatibility(plan: FeaturePlan, model: ModelPackage) -> None:
    """Refuse a model that was trained on features of the same name but another meaning.

    Raises:
        EngineError: names the features and what differs.
    """
    if plan.schema_hash == model.features.schema_hash:
        return
    declared = _by_name(plan.schema())
    trained = _by_name(model.features.definitions)
    different = [
        name
        for name in model.features.names
        if name in declared and declared[name] != trained.get(name)
    ]
    if different:
        raise EngineError(
            f"model {model.short_id} was trained when {', '.join(map(repr, different))} "
            "meant something else: restore these [[features]] in the settings, or train again "
            "with `weir train`"
        )


def _by_name(schema: dict[str, Any]) -> dict[str, Any]:
    fields = schema["fields"]
    return {
        feature["name"]: (
            _plain(feature),
            [fields.get(feature.get(role)) for role in ("field", "entity")],
            schema["version"],
        )
        for feature in schema["features"]
    }


def _plain(value: Any) -> str:
    """Text that is equal for a declaration and for what JSON made of it: NaN is null there."""
    text = json.dumps(value, sort_keys=True)
    return json.dumps(json.loads(text, parse_constant=lambda name: None))
