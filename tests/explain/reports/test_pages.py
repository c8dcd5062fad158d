"""Sheet and letter: what stands on them, what must not, and as which files."""

import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
import reportlab
from records import EXPLANATION, REASON, a_record

from explain.errors import ExplainError
from explain.reports.analyst_sheet import LanguageError, language_of, sheet_of
from explain.reports.customer_letter import CustomerLetter, customer_letter_of
from explain.reports.customer_letter_settings import ENGLISH, CustomerLetterSettings
from explain.reports.pages.html import html_of
from explain.reports.pages.pdf import pdf_of
from explain.reports.sheet_words import WORDS

TODAY = date(2026, 11, 21)
SETTINGS = CustomerLetterSettings(
    institution="Bank <of> the Weir",
    address=("1 River & Street",),
    contact="Ada Winter",
    phone="+49 30 1",
    email="ada@example.org",
)
replaced = msgspec.structs.replace


class Text(HTMLParser):
    """The text of a page, and the tags that were opened and closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.open, self.seen = "", [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "br", "rect", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "path"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_words_are_the_same_in_each_language():
    assert WORDS["en"].keys() == WORDS["de"].keys()


def test_a_sheet_says_what_the_record_says():
    sheet = sheet_of(a_record(), "en")
    assert (sheet.decision, sheet.confident) == ("declined", True)
    assert [(bar.group, bar.text, bar.error) for bar in sheet.bars] == [
        ("amount", "+3.25", "±0.1"),
        ("terminal", "-0.50", "±0.05"),
    ]
    assert sheet.bars[0].share + sheet.bars[0].spread == pytest.approx(1)
    assert sheet.bars[1].share == pytest.approx(-0.5 / 3.35)
    facts = {fact.name: fact.text for fact in (*sheet.answers, *sheet.honesty, *sheet.versions)}
    assert facts["probability of fraud"] == "94%"
    assert facts["decline from"] == "50%"
    assert facts["local model less answer"] == "-3.66"
    assert facts["effective samples"] == "311.70 of 1,024"
    assert facts["catalogue"] == "weir-example 1"
    assert "review from anomaly" not in facts
    bounds = replaced(a_record().decision.thresholds, anomaly_review=0.99)
    decision = replaced(a_record().decision, thresholds=bounds)
    answers = sheet_of(a_record(decision=decision), "en").answers
    assert [fact.text for fact in answers if fact.name == "review from anomaly"] == ["99%"]
    rows = {row.feature: row for row in sheet.values}
    assert (rows["amount"].value, rows["amount"].typical, rows["amount"].unit) == (
        "412.50",
        "31",
        "EUR",
    )
    assert rows["frauds"].value == "–"
    assert rows["frauds"].window == "terminal, 7d, until 7d before"
    german = sheet_of(a_record(), "de")
    assert german.decision == "abgelehnt"
    assert german.reasons[0].text == "412,50 EUR, üblich sind 31 EUR."
    assert german.bars[0].text == "+3,25"


def test_what_is_missing_is_a_dash():
    answers = replaced(a_record().answers, probability=None, log_odds=None)
    explanation = replaced(EXPLANATION, r2=None, local=None, confident=False)
    sheet = sheet_of(a_record(answers=answers, explanation=explanation), "en")
    facts = {fact.name: fact.text for fact in (*sheet.answers, *sheet.honesty)}
    assert facts["probability of fraud"] == facts["log-odds"] == "–"
    assert facts["R² (variance explained)"] == facts["local model less answer"] == "–"
    assert "Do not rely on single attributions" in Text(html_of(None, sheet)).text


def test_languages_are_those_of_the_record():
    assert language_of(a_record(), None) == "en"
    assert language_of(a_record(), "de") == "de"
    with pytest.raises(LanguageError, match="no texts in 'fr', only in de, en"):
        language_of(a_record(), "fr")
    german = replaced(REASON, analyst={"de": "a"}, customer={"de": "b"})
    assert language_of(a_record(reasons=(german,)), None) == "de"


def letter(
    language: str = "en", settings: CustomerLetterSettings = SETTINGS, **parts: object
) -> CustomerLetter:
    return customer_letter_of(a_record(**parts), settings, language, TODAY)


def everything(written: CustomerLetter) -> str:
    return Text(html_of(written, None)).text


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_letter_reveals_nothing_of_the_model(language):
    record = a_record()
    # The style sheet and the reference have digits of their own.
    text = everything(letter(language)).split("</style>")[-1].replace(record.id, "")
    body = text[text.rindex("}") :]
    for secret in (
        "412",
        "31",
        "0.94",
        "94",
        "0.91",
        "91",
        "0.98",
        "98",
        "0.5",
        "50%",
        "0.1",
        "2.31",
        "3.25",
        record.model.package,
        record.event.key,
        "116946",
        "amount-high",
        "lime",
        "onnxruntime",
        "R²",
        "threshold",
        "Schwelle",
        "score",
        "Score",
        "probability",
        "wahrscheinlich",
    ):
        assert secret not in body, secret
    assert REASON.customer[language] in body
    for said in ("Ada Winter", "+49 30 1", "ada@example.org", "Bank <of> the Weir"):
        assert said in body


def test_a_letter_says_whom_to_turn_to_and_the_right_to_a_review():
    plain = everything(letter(settings=CustomerLetterSettings()))
    assert "speak to a person: please turn to our customer service" in plain
    assert "right to have this decision reviewed by a member of our staff" in plain
    assert "We did not carry out your payment of March 28, 2026" in plain
    german = everything(letter("de", CustomerLetterSettings()))
    assert "an unseren Kundenservice" in german
    assert "Recht, dass jemand aus unserem Haus diese Entscheidung überprüft" in german
    assert "Ihre Zahlung vom 28. März 2026, 14:48 Uhr (UTC) nicht ausgeführt" in german
    review = replaced(a_record().decision, outcome="review")
    assert "Our staff are checking" in everything(letter(decision=review))


def test_only_reasons_that_may_be_told_are_in_it():
    silent = replaced(REASON, adverse_action=False)
    written = letter(reasons=(silent,))
    assert written.reasons == ()
    assert REASON.customer["en"] not in everything(written)
    assert "We can tell you the reasons personally" in everything(written)


def test_texts_are_the_users_own():
    texts = ENGLISH.model_copy(update={"subject": "{institution}: {date}", "contact": "nous"})
    settings = CustomerLetterSettings(institution="B", texts={"fr": texts})
    french = replaced(REASON, analyst={"fr": "a"}, customer={"fr": "Le montant."})
    written = letter("fr", settings, reasons=(french,))
    assert written.subject == "B: 28 mars 2026"
    assert "please turn to nous" in written.contact
    with pytest.raises(ExplainError, match=r"letters\.texts\.fr: there are no texts"):
        letter("fr", SETTINGS, reasons=(french,))
    with pytest.raises(ValueError, match=r"\{score\} is no placeholder"):
        CustomerLetterSettings(texts={"en": ENGLISH.model_dump() | {"closing": "{score}"}})
    with pytest.raises(ExplainError, match="no letter can be written"):
        letter(event=replaced(a_record().event, time=10**18))


def test_numbers_of_any_size_are_written():
    huge = replaced(EXPLANATION.attributions[0], value=1e308, error=1e300)
    record = a_record(
        explanation=replaced(EXPLANATION, attributions=(huge,)),
        explainer=replaced(a_record().explainer, groups=(a_record().explainer.groups[0],)),
        features=(replaced(a_record().features[0], value=2.0**100),),
        reasons=(),
    )
    sheet = sheet_of(record, "en")
    assert sheet.bars[0].text.startswith("+1000000000000000")
    assert sheet.values[0].value.startswith("1,267,650,600,228,229,401,")
    assert pdf_of(None, sheet, SETTINGS).startswith(b"%PDF-")  # which has no reason to show


@pytest.mark.parametrize(
    ("analyst", "customer", "language"),
    [({"de": "a", "en": "a"}, {"de": "b"}, "de"), ({"en": "a"}, {"de": "b"}, None), ({}, {}, None)],
)
def test_a_language_has_to_have_all_texts(analyst, customer, language):
    record = a_record(reasons=(replaced(REASON, analyst=analyst, customer=customer),))
    if language is None:
        with pytest.raises(LanguageError, match="no language that all of its texts are in"):
            language_of(record, None)
    else:
        assert language_of(record, None) == language
        customer_letter_of(record, SETTINGS, language, TODAY)


def test_html_is_whole_and_nothing_in_it_is_taken_for_markup():
    evil = "<script>alert(1)</script>&amp;"
    record = a_record(
        event=replaced(a_record().event, id=evil),
        reasons=(replaced(REASON, analyst={"en": evil}, customer={"en": evil}),),
    )
    page = html_of(customer_letter_of(record, SETTINGS, "en", TODAY), sheet_of(record, "en"))
    read = Text(page)
    assert read.open == []
    assert "script" not in read.seen
    assert read.text.count(evil) == 3
    assert page.count("<article") == 2
    assert not re.search("https?:|url[(]|@import", page)


def test_pdf_is_the_same_each_time():
    record = a_record()
    parts = customer_letter_of(record, SETTINGS, "de", TODAY), sheet_of(record, "de")
    data = pdf_of(*parts, SETTINGS)
    assert data.startswith(b"%PDF-")
    assert pdf_of(*parts, SETTINGS) == data
    pages = [pdf_of(*chosen, SETTINGS) for chosen in ((parts[0], None), (None, parts[1]), parts)]
    assert [page.count(b"/Type /Page\n") for page in pages] == [1, 1, 2]


def test_pdf_names_what_its_font_lacks():
    polish = replaced(REASON, customer={"en": "Mało."})
    record = a_record(reasons=(polish,))
    with pytest.raises(ExplainError, match=r"the font has no 'ł'"):
        pdf_of(customer_letter_of(record, SETTINGS, "en", TODAY), None, SETTINGS)
    fonts = Path(reportlab.__file__).parent / "fonts"
    own = SETTINGS.model_copy(
        update={"font": fonts / "Vera.ttf", "font_bold": fonts / "VeraBd.ttf"}
    )
    parts = customer_letter_of(record, own, "en", TODAY), None
    assert pdf_of(*parts, own) == pdf_of(*parts, own)
    broken = SETTINGS.model_copy(update={"font": Path("none.ttf"), "font_bold": Path("none.ttf")})
    with pytest.raises(ExplainError, match=r"letters\.font: none\.ttf"):
        pdf_of(*parts, broken)
    with pytest.raises(ValueError, match="name both"):
        CustomerLetterSettings(font=Path("a.ttf"))
