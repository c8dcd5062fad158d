"""What matters most of what has moved, and what it makes of an episode."""

from monitoring.breakage.kinds import Kind as BreakageKind
from monitoring.episodes.episode import Kind, MovedFeature, Severity


def ranked(features: list[MovedFeature]) -> list[MovedFeature]:
    """What is broken comes first, then what matters most."""
    return sorted(features, key=lambda each: (not _is_broken(each), -each.rank, each.name))


def kind_of(features: list[MovedFeature]) -> Kind:
    """Broken data where one feature is broken, else a changed world."""
    return "data_breakage" if any(map(_is_broken, features)) else "covariate_shift"


def severity_of(features: list[MovedFeature]) -> Severity:
    """Broken data page."""
    return "page" if any(map(_is_broken, features)) else "warning"


def _is_broken(feature: MovedFeature) -> bool:
    return BreakageKind(feature.kind).is_breakage
