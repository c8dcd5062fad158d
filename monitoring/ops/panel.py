"""A panel of a dashboard, and the queries that many of them have."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Panel:
    """Lines over time.

    Attributes:
        unit: as Grafana names it: ``s``, ``bytes``, ``percentunit``, ``ops`` (per second), or
            ``short`` for counts.
        queries: PromQL, each with the legend of its lines.
    """

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def panel(title: str, unit: str, *queries: tuple[str, str]) -> Panel:
    """See `Panel`."""
    return Panel(title, unit, queries)


def per_second(labels: str, counter: str) -> str:
    """How fast a counter grows, by labels."""
    return f"sum by ({labels}) (rate({counter}[2m]))"


def mean(histogram: str, by: str) -> str:
    """The mean of what a histogram was told of, by a label."""
    return f"{per_second(by, f'{histogram}_sum')} / {per_second(by, f'{histogram}_count')}"


def quantiles(histogram: str, where: str = "", by: str = "") -> tuple[tuple[str, str], ...]:
    """The median and the 99th percentile of a histogram, each with its legend."""
    rate = per_second("le" + (by and f", {by}"), f"{histogram}_bucket{where}")
    legend = by and f" {{{{{by}}}}}"
    return tuple(
        (f"histogram_quantile({share}, {rate})", f"p{share * 100:g}{legend}")
        for share in (0.5, 0.99)
    )
