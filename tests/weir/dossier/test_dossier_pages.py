"""A dossier as HTML and PDF: whole, the same each time, and safe whatever stands in the records."""

import re
import sys
import zlib
from base64 import a85decode, b64decode
from html.parser import HTMLParser
from typing import Any

import pytest
from dossier_world import CHAMPION, MODEL, START, dossier, history, look, registered, step

from explain.reports.customer_letter_settings import CustomerLetterSettings
from weir.dossier.blocks import Page
from weir.dossier.collect import Decision, Dossier
from weir.dossier.history import History
from weir.dossier.html import html_of
from weir.dossier.pages import missing, page_of
from weir.dossier.pdf import pdf_of

LETTERS = CustomerLetterSettings()
HOSTILE = "</td><script>alert(1)</script>\x1b[2J\u202e ł $\\frac{1}{2}$ " + "W" * 3_000


class Reader(HTMLParser):
    """The texts of a page by the tags that they stand in; fails where tags don't fit."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.tags, "all are closed"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.add(tag)
        if tag not in ("meta", "col", "img", "br"):
            self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] != "style" and data.strip():
            self.texts.append(data)


def paged(found: Dossier) -> Page:
    return page_of(found, vouched=True)


def pages_of(pdf: bytes) -> int:
    assert pdf.startswith(b"%PDF")
    return pdf.count(b"/Type /Page\n")


def nothing_found() -> Dossier:
    return dossier(
        History(),
        serves=False,
        package=None,
        no_package="nobody signed it who may",
        decision=Decision(None, None, "now", START),
        promotions=(),
    )


def test_all_of_it_stands_on_the_page() -> None:
    page = html_of(paged(dossier()))
    read = Reader(page)
    said = "\n".join(read.texts)
    for text in (
        "Promotion dossier: model 26e3bd5f5c5d, version 2",
        "champion since 2026-09-22 12:26:40 UTC (gates were waived)",
        "20,000 mature events of 1,000, 1,030 frauds of 50",
        "inconclusive, which is no pass",
        "a missed fraud its amount, 500 at most",
        "all is well after 2,250 events at 25.00%",
        "fewer false alarms",
        "waived by ada: the board",
        "trees.rounds",
        CHAMPION.package,
    ):
        assert text in said
    assert read.found.isdisjoint({"script", "link", "iframe", "object"})
    assert re.findall(r'src="(.{0,26})', page) == ["data:image/svg+xml;base64,"] * 4
    assert not re.search(r"https?:|url[(]|@import", page)
    assert missing(dossier()) == []


def drawings(page: str) -> list[str]:
    """The pictures of a page."""
    found = re.findall(r'src="data:image/svg.xml;base64,([^"]+)"', page)
    return [b64decode(image).decode() for image in found]


def content_of(pdf: bytes) -> bytes:
    """What is drawn on the pages of a PDF; texts in the reader's own fonts can be read in it."""
    streams = re.findall(rb"(?s)/ASCII85Decode /FlateDecode.*?stream\r?\n(.*?)endstream", pdf)
    return b"".join(zlib.decompress(a85decode(b"<~" + each, adobe=True)) for each in streams)


def test_scores_and_slices_are_drawn_as_they_were_compared() -> None:
    found = look(20_000).found
    cells = found["score_cells"]
    assert sum(cell[2] for cell in cells) == found["events"] == 20_000
    assert list(found["slices"]) == ["category", "header:app-version"], "no ids of events"
    worst = found["slices"]["category"]
    flips = [
        row[second] for first, row in found["decisions"].items() for second in row.keys() - {first}
    ]
    assert sum(each["flips"] for each in worst) == sum(flips)
    assert [each["saved"] for each in worst] == sorted(each["saved"] for each in worst)
    pdf = content_of(pdf_of(paged(dossier()), LETTERS))
    assert f"({max(cell[2] for cell in cells):,} events)".encode() in pdf
    assert pdf.count(b" re ") > len(cells)
    scores, *slices, _ = drawings(html_of(paged(dossier())))
    shapes = len(re.findall(r"<rect", scores))
    assert len(cells) < shapes <= len(cells) + 40, "a frame and a legend beside the cells"
    assert f"{max(cell[2] for cell in cells):,} events" in scores
    assert len(slices) == 2
    for each in worst:
        note = f"{each['flips']:,} of {each['events']:,}, saved {each['saved']:+,.0f}"
        assert note in slices[0]
        assert f"({note})".encode() in pdf
    assert "groß &amp; &lt;b&gt;" in slices[0]


def test_pictures_of_what_anybody_wrote_are_drawn_or_left_out() -> None:
    whole = look(600)
    hostile = {"value": HOSTILE, "events": 1, "flips": 9, "saved": None}
    forged = [
        {"score_cells": [], "slices": {}},
        {"score_cells": [[0, 31, 0]], "slices": {"f": [{"value": 1, "events": 0, "flips": 0}]}},
        {"score_cells": [[31, 31, 2**62]], "slices": {HOSTILE: [hostile]}},
    ]
    for more in forged:
        record = whole.model_copy(update={"found": whole.found | more})
        page = paged(dossier(History.of([record])))
        assert "script" not in Reader(html_of(page)).found
        assert pages_of(pdf_of(page, LETTERS)) > 0
    for wrong in ({"score_cells": [[32, 0, 1]]}, {"slices": {"f": [{"value": [], "events": 1}]}}):
        record = whole.model_copy(update={"found": whole.found | wrong})
        assert History.of([record]).unreadable == 1


def test_pdf_is_the_same_each_time() -> None:
    page = paged(dossier())
    pdf = pdf_of(page, LETTERS)
    assert pages_of(pdf) == 3
    assert pdf_of(page, LETTERS) == pdf


def test_nothing_found_is_said_with_the_command_that_finds_it() -> None:
    found = nothing_found()
    read = "\n".join(Reader(html_of(paged(found))).texts)
    for text in ("weir shadow add 2", "weir canary start 2", "weir models promote 2"):
        assert text in read
    assert "nobody signed it who may" in read
    assert len(missing(found)) == 3
    assert pages_of(pdf_of(paged(found), LETTERS)) == 1


def test_what_anybody_wrote_is_text_and_nothing_else() -> None:
    whole = look(600)
    records = [
        whole.model_copy(
            update={
                "name": HOSTILE,
                "policy": HOSTILE,
                "at": 10**30,
                "found": whole.found | {"left_out": {HOSTILE: 1}, "policy": HOSTILE},
            }
        ),
        *(step(each / 300, "wait", HOSTILE, START + each) for each in range(300)),
    ]
    found = dossier(History.of(records), by=HOSTILE, no_package=HOSTILE, package=None)
    page = html_of(paged(found))
    read = Reader(page)
    assert "script" not in read.found
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert any("</td><script>" in text for text in read.texts)
    assert any("200 earlier phases are left out" in text for text in read.texts)
    assert pages_of(pdf_of(paged(found), LETTERS)) > 10


def test_evidence_that_began_anew_is_drawn_apart() -> None:
    looks = [look(600), look(900), look(600, policy="stricter"), look(1_200, policy="stricter")]
    page = paged(dossier(History.of(looks)))
    (evidence,) = [each for each in page.sections if each.title == "How the evidence went"]
    plot: Any = evidence.blocks[0]
    assert [line.role for line in plot.lines] == [
        *["former"] * 3,
        "better",
        "no worse",
        "worse",
        "bound",
    ]
    assert [point.x for point in plot.lines[3].points] == [600, 1_200]
    for few in (looks[:1], [look(1)]):
        assert pages_of(pdf_of(paged(dossier(History.of(few))), LETTERS)) > 0


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"promotions": ()}, "champion, as the registry says"),
        ({"serves": False}, "it was champion, and is no more"),
        ({"serves": False, "promotions": ()}, "not passed: non-inferiority, superiority"),
    ],
)
def test_how_it_stands_is_said_first(values: dict[str, Any], status: str) -> None:
    assert paged(dossier(**values)).status.text == status


def test_a_page_is_made_without_what_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reportlab.graphics", None)
    for name in ("weir.dossier.drawing", "weir.dossier.plots", "explain.reports.pages.typesetting"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    read = Reader(html_of(paged(dossier(history()))))
    assert "img" not in read.found
    assert any("pip install 'weir[pdf]'" in text for text in read.texts)


def test_programs_are_told_the_same() -> None:
    told = dossier().as_dict()
    assert told["model"]["package_id"] == MODEL.package
    assert told["champion_model"]["metrics"]["roc_auc"] == 0.8702
    assert len(told["evidence"]) == 27
    assert told["evidence"][-1]["mature"] == 20_000
    assert told["comparison"]["found"]["mature"] == 20_000
    assert [each["looks"] for each in told["canary"]] == [2, 1, 1, 1, 1]
    assert told["promotions"][0]["waived"] == "waived by ada: the board"
    assert (told["gates_as_of"]["when"], told["waiver"]["by"]) == ("promotion", "ada")
    assert registered(MODEL).version == told["model"]["version"]
