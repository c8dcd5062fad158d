"""What a customer is told of a decision: reasons in the customer's words, and whom to turn to."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from babel.dates import format_date, format_time

from explain.errors import ExplainError
from explain.reasons.number_text import locale_of
from explain.record.record import Record
from explain.reports.customer_letter_settings import CustomerLetterSettings


@dataclass(frozen=True)
class CustomerLetter:
    """A letter in one language: nothing in it is from the model but the catalogue's own words.

    Attributes:
        sender: the institution, and the lines of its address.
        written: the date of the letter.
        reference: what staff find the decision by: the record's id.
        opening: what was decided.
        reasons: empty where none may be told.
        before_reasons: what stands before them, or in their place.
        contact: sentence that names a person; `reach` are telephone and address.
    """

    language: str
    sender: tuple[str, ...]
    written: str
    reference_label: str
    reference: str
    subject: str
    salutation: str
    opening: str
    before_reasons: str
    reasons: tuple[str, ...]
    automatic: str
    contact: str
    reach: tuple[tuple[str, str], ...]
    right: str
    closing: str


def customer_letter_of(
    record: Record, settings: CustomerLetterSettings, language: str, today: date
) -> CustomerLetter:
    """Put the letter together.

    Only reasons that the catalogue allows in a notice of an adverse action are told, in its texts
    for customers: no probability, threshold, score, model or value that those do not show.

    Args:
        language: see `explain.reports.analyst_sheet.language_of`.

    Raises:
        ExplainError: the settings have no texts in this language, or the event's time is beyond
            the calendar.
    """
    try:
        texts = settings.texts_in(language)
        moment = datetime.fromtimestamp(record.event.time / 1_000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ExplainError(f"no letter can be written about record {record.id}: {error}") from error
    locale = locale_of(language)
    words = {
        "date": format_date(moment.date(), "long", locale=locale),
        "time": format_time(moment.time(), "short", locale=locale),
        "institution": settings.institution,
        "contact": settings.contact or texts.contact,
    }
    told = tuple(each.customer[language] for each in record.reasons if each.adverse_action)
    reach = ((texts.phone, settings.phone), (texts.email, settings.email))
    return CustomerLetter(
        language=language,
        sender=(settings.institution, *settings.address),
        written=format_date(today, "long", locale=locale),
        reference_label=texts.reference,
        reference=record.id,
        subject=texts.subject.format_map(words),
        salutation=texts.salutation.format_map(words),
        opening=getattr(texts, record.decision.outcome).format_map(words),
        before_reasons=(texts.reasons if told else texts.no_reason).format_map(words),
        reasons=told,
        automatic=texts.automatic.format_map(words),
        contact=texts.turn_to.format_map(words),
        reach=tuple((label, text) for label, text in reach if text),
        right=texts.right.format_map(words),
        closing=texts.closing.format_map(words),
    )
