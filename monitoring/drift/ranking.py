"""What matters most of what has moved, and what it makes of an episode."""

from monitoring.episodes.episode import Kind, MovedFeature, Severity


def ranked(features: list[MovedFeature]) -> list[MovedFeature]:
    """What is broken comes first, then what matters most."""
    return sorted(features, key=lambda each: (not each.is_broken, -each.rank, each.name))


def kind_of(features: list[MovedFeature]) -> Kind:
    """Broken data where one feature is broken, else a changed world."""
    return "data_breakage" if any(each.is_broken for each in features) else "covariate_shift"


def severity_of(features: list[MovedFeature]) -> Severity:
    """Broken data page."""
    return "page" if any(each.is_broken for each in features) else "warning"
