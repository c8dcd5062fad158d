"""An episode's page: whole, plain, and safe whatever strangers wrote into the records."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from episode_world import HISTOGRAM, T0, episode, looked_after, moved
from msgspec.structs import replace

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import (
    DECODE_EPISODE,
    ENCODE_EPISODE,
    Episode,
    Kind,
    Together,
    WorseFigure,
)
from weir.dossier.html import html_of
from weir.episodes.page import page_of
from weir.episodes.words import MEANINGS

ROOT = Path(__file__).parents[3]
HOSTILE = (
    "</td><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202e\" ' ł" + "W" * 3_000
)


class Reader(HTMLParser):
    """The texts of a page, its tags and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.images: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "img":
            source = dict(attrs)["src"]
            assert source.startswith("data:image/svg+xml;base64,")
            self.images.append(b64decode(source.split(",")[1]).decode())

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def said(self) -> str:
        return "\n".join(self.texts)


def read(found: Episode) -> Reader:
    return Reader(html_of(page_of(found, T0)))


def test_figures_that_are_worse_stand_on_the_page() -> None:
    worse = WorseFigure("average_precision", T0, 9.5, 0.21, 0.4, "it finds less than it did")
    said = read(episode(kind="performance_loss", features=[], figures=[worse])).said
    for text in ("it finds less than it did", "0.21; 0.4 would be no loss", "1, 1 still away"):
        assert text in said


def test_what_moved_together_stands_on_the_page() -> None:
    together = Together(0.93, 0.01, 0.31, [("amount", 0.7), (HOSTILE, 0.3)], 800)
    page = read(episode(together=together))
    assert "What moved together" in page.texts
    assert "31% of 800 events of now are told from those of the training" in page.said
    assert "(AUC 0.93 ± 0.02): moved together: amount (70%)" in page.said
    assert "script" not in page.tags
    nothing = replace(together, features=[])
    assert "can't be told from" in read(episode(together=nothing)).said


def test_all_of_it_stands_on_the_page() -> None:
    page = read(looked_after())
    for text in (
        "Episode 3f2a9c0d1e4b: data breakage, model c6faeac493c8",
        "over since 2026-11-18",
        "Data is broken",
        "page: somebody is called",
        "ada",
        "asked the gateway's team",
        "app-version 4.2.0",
        "The model's probability",
        "weir drift ack 3f2a9c0d1e4b",
        "docs/runbooks/data-breakage.md",
        "1.75",
        "7.5 before, 750 now",
    ):
        assert text in page.said, text
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "a"})
    assert not re.search(r"https?:|url[(]|@import", html_of(page_of(looked_after(), T0)))


def test_the_timeline_is_in_the_order_of_time() -> None:
    said = read(looked_after()).said
    story = said[said.index("Timeline") :]
    steps = ("began to move", "the monitor found it", "acknowledged by ada", "came back", "over\n")
    places = [story.index(step) for step in steps]
    assert places == sorted(places)


def test_bins_are_named_by_their_edges_and_empty_ones_left_out() -> None:
    first, _ = read(episode()).images
    for text in (
        "from 0 up to 10",
        "from 10 up to 2500",
        "2500 or more",
        "60.0% before, 4.0% now",
        "0.0% before, 6.0% now",
    ):
        assert text in first, text
    assert "below 0" not in first
    assert "missing" not in first
    widths = [float(each) for each in re.findall(r'<rect[^>]* width="([\d.]+)"', first)]
    before, now = widths[-6::2], widths[-5::2]
    assert before == pytest.approx([now[1] * share / 0.9 for share in (0.0, 0.4, 0.6)], abs=0.1)
    assert now == pytest.approx([now[1] * share / 0.9 for share in (0.06, 0.9, 0.04)], abs=0.1)


def test_a_record_of_an_earlier_version_is_read_and_shown() -> None:
    old = msgspec.to_builtins(episode())
    for each in old["features"]:
        del each["histogram"]
    found = DECODE_EPISODE(msgspec.json.encode(old))
    assert found.features[0].histogram is None
    page = read(found)
    assert page.images == []
    assert "No histogram" in page.said


def test_what_strangers_wrote_is_text() -> None:
    act = EpisodeAct("x", "snooze", HOSTILE, HOSTILE, T0, 2**62)
    bad = moved(HOSTILE, words=HOSTILE, producer=HOSTILE, kind=HOSTILE, since=-(2**62))
    found = episode(id=HOSTILE, model=HOSTILE, acknowledged_by=HOSTILE, acts=[act], features=[bad])
    page = read(found)
    assert page.tags.isdisjoint({"script"})
    assert "onerror" not in page.attributes
    assert "<script>alert(1)</script>" in page.said, "as text"
    assert "\x1b" not in page.said
    assert "\u202e" not in page.said
    (image,) = page.images
    assert "<script" not in image


@pytest.mark.parametrize(
    "forged",
    [
        {"edges": [0.0, 1.0], "now": [1, 2, 3], "before": [0.1, 0.2, 0.7]},
        {"edges": [0.0], "now": [1, -2, 3], "before": [0.1, 0.2, 0.7]},
        {"edges": [0.0], "now": [1, 2, 3], "before": [0.1, 0.2, 7.0]},
        {"edges": [], "now": [], "before": []},
    ],
)
def test_a_histogram_that_is_none_makes_no_episode(forged: dict[str, Any]) -> None:
    record = msgspec.to_builtins(episode())
    record["features"][0]["histogram"] = forged
    with pytest.raises(ValueError):
        DECODE_EPISODE(msgspec.json.encode(record))


def test_odd_records_have_a_page() -> None:
    empty = replace(HISTOGRAM, now=[0] * 5, before=[0.0] * 5)
    many = [moved(f"f{place}", since=T0 + place) for place in range(100)]
    for found in (episode(features=[]), episode(features=[moved(histogram=empty)])):
        assert "What happened" in read(found).said
    page = read(episode(features=many))
    assert len(page.images) == 30
    assert "70 more features" in page.said


def test_segments_and_references_are_named() -> None:
    part = moved("amount in country=DE", segment="country=DE", references=("training", "promotion"))
    said = read(episode(features=[part, moved("hour")])).said
    table = said[said.index("Segments") :]
    assert table.index("country=DE") < table.index("amount") < table.index("Feature amount in")
    assert "training and promotion" in said
    assert "Segments" not in read(episode()).said


def test_what_is_no_feature_has_neither_psi_nor_histogram() -> None:
    silent = moved("producer app-version 4.2.0", psi=0.0, kind="silent_producer", histogram=None)
    page = read(episode(features=[silent]))
    assert page.images == []
    for text in ("PSI", "No histogram", "median", "Feature producer", "monitor.arl"):
        assert text not in page.said, text


def test_each_kind_has_a_meaning_and_a_runbook() -> None:
    assert set(get_args(Kind)) <= set(MEANINGS)
    for meaning in MEANINGS.values():
        assert (ROOT / meaning.runbook).is_file()


def test_the_record_with_histograms_is_small() -> None:
    grown = moved(histogram=None), moved()
    sizes = [len(ENCODE_EPISODE(episode(features=[each]))) for each in grown]
    assert sizes[1] - sizes[0] < 200
