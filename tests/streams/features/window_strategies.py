"""Random plans, and random streams of events and labels to try them on."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from window_model import Event, Label

MANY = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

SOME = settings(MANY, max_examples=100)
FEWER = settings(MANY, max_examples=60)

spans = st.sampled_from(["1ms", "2ms", "5ms", "10ms", "40ms", "1s"])
entities = st.sampled_from(["card", "shop"])
numeric = st.sampled_from(["amount", "items", "online"])
anything = st.sampled_from(["amount", "items", "online", "country", "card"])
empties = st.sampled_from([{}, {"empty": -1.0}, {"empty": 0.0}])


def tables() -> st.SearchStrategy[dict[str, Any]]:
    """Draw one ``[[features]]`` table of any kind that has windows, or a field."""

    def table(kind: str, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.tuples(st.fixed_dictionaries({"kind": st.just(kind), **parts}), empties).map(
            lambda drawn: drawn[0] | drawn[1]
        )

    delays = st.one_of(st.just({}), spans.map(lambda span: {"delay": span}))
    over_numbers = table(
        "window",
        entity=entities,
        window=spans,
        field=numeric,
        aggregate=st.sampled_from(["sum", "mean", "min", "max", "std"]),
    )
    over_anything = table(
        "window",
        entity=entities,
        window=spans,
        field=anything,
        aggregate=st.sampled_from(["count", "distinct"]),
    )
    events = table("window", entity=entities, window=spans, aggregate=st.just("count"))
    delayed = st.tuples(st.one_of(over_numbers, over_anything, events), delays)
    return st.one_of(
        st.fixed_dictionaries({"kind": st.just("field"), "field": numeric}),
        delayed.map(lambda drawn: drawn[0] | drawn[1]),
        table("window", entity=entities, window=spans, field=numeric, aggregate=st.just("last")),
        table("window", entity=entities, window=spans, aggregate=st.just("time_since")),
        table("history_ratio", entity=entities, window=spans, field=numeric),
        table(
            "label",
            entity=entities,
            window=spans,
            delay=st.sampled_from(["0ms", "2ms", "10ms"]),
            aggregate=st.sampled_from(["count", "rate"]),
        ),
    )


amounts = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e6]),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 2)),
)


@st.composite
def streams(draw: st.DrawFn, lateness: int = 0) -> tuple[list[Event], list[Label]]:
    """Draw events, each at most `lateness` ms behind the newest, and labels among them."""
    events: list[Event] = []
    newest = draw(st.sampled_from([0, -50, 1_700_000_000_000]))
    for _ in range(draw(st.integers(0, 40))):
        newest += draw(st.sampled_from([0, 0, 1, 1, 2, 3, 10, 60]))
        events.append(
            Event(
                id=draw(st.integers(0, 60)),
                time=newest - draw(st.integers(0, lateness)),
                card=draw(st.sampled_from(["a", "b", "ä"])),
                shop=draw(st.sampled_from([1, 2, -5, None])),
                amount=draw(st.none() | amounts),
                items=draw(st.none() | st.integers(-3, 3)),
                online=draw(st.none() | st.booleans()),
                country=draw(st.sampled_from([None, "FI", "SE", ""])),
            )
        )
    places = st.integers(0, len(events))
    label = st.tuples(places, st.integers(0, 60), st.sampled_from([0.0, 1.0]))
    return events, sorted(draw(st.lists(label, max_size=30)), key=lambda drawn: drawn[0])


cut_lists = st.lists(st.integers(0, 40), max_size=6)
