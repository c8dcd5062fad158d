"""The ``[letters]`` section: who writes to a customer about a decision, and in which words."""

from pathlib import Path
from string import Formatter
from typing import Self

from pydantic import Field, field_validator, model_validator

from streams.base.section import Section

PLACEHOLDERS = ("date", "time", "institution", "contact")


class LetterTexts(Section):
    """The texts of a letter in one language.

    ``{date}`` and ``{time}`` are those of the event, ``{institution}`` and ``{contact}`` those of
    the settings.

    Attributes:
        approve, review, decline: what was decided.
        reasons: before the reasons.
        no_reason: in place of them, where the catalogue has none that may be told.
        automatic: that a machine decided, and that it is not the last word.
        contact: whom to turn to, where the settings name nobody.
        turn_to: before that person, telephone and address.
        right: to have the decision reviewed.
    """

    subject: str
    salutation: str
    approve: str
    review: str
    decline: str
    reasons: str
    no_reason: str
    automatic: str
    turn_to: str
    contact: str
    right: str
    closing: str
    reference: str
    phone: str
    email: str

    @field_validator("*")
    @classmethod
    def _placeholders_are_known(cls, text: str) -> str:
        for _, name, spec, conversion in Formatter().parse(text):
            if name is not None and (name not in PLACEHOLDERS or spec or conversion):
                known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
                raise ValueError(f"{{{name}}} is no placeholder: write one of {known}")
        return text


ENGLISH = LetterTexts(
    subject="Your payment of {date}",
    salutation="Dear customer,",
    approve="We carried out your payment of {date}, {time} (UTC).",
    review="Our staff are checking your payment of {date}, {time} (UTC) before it is carried out.",
    decline="We did not carry out your payment of {date}, {time} (UTC).",
    reasons="These were the main reasons:",
    no_reason="We can tell you the reasons personally; please turn to us as said below.",
    automatic="The payment was assessed by an automated procedure that protects you and us against "
    "fraud. It does not mean that we suspect you of anything.",
    turn_to="If you have questions, you can speak to a person: please turn to {contact}.",
    contact="our customer service",
    right="You have the right to have this decision reviewed by a member of our staff, to state "
    "your point of view, and to contest the decision. Tell us, and give the reference above.",
    closing="Yours faithfully",
    reference="Reference",
    phone="Telephone",
    email="E-mail",
)
GERMAN = LetterTexts(
    subject="Ihre Zahlung vom {date}",
    salutation="Guten Tag,",
    approve="wir haben Ihre Zahlung vom {date}, {time} Uhr (UTC) ausgeführt.",
    review="unsere Fachleute prüfen Ihre Zahlung vom {date}, {time} Uhr (UTC), bevor wir sie "
    "ausführen.",
    decline="wir haben Ihre Zahlung vom {date}, {time} Uhr (UTC) nicht ausgeführt.",
    reasons="Das waren die wichtigsten Gründe:",
    no_reason="Die Gründe nennen wir Ihnen gern persönlich; bitte wenden Sie sich wie unten "
    "beschrieben an uns.",
    automatic="Die Zahlung wurde von einem automatischen Verfahren beurteilt, das Sie und uns vor "
    "Betrug schützt. Das heißt nicht, dass wir Sie verdächtigen.",
    turn_to="Wenn Sie Fragen haben, sprechen Sie mit einem Menschen: Wenden Sie sich bitte an "
    "{contact}.",
    contact="unseren Kundenservice",
    right="Sie haben das Recht, dass jemand aus unserem Haus diese Entscheidung überprüft, Ihren "
    "Standpunkt darzulegen und die Entscheidung anzufechten. Schreiben Sie uns oder rufen Sie an, "
    "und nennen Sie das Zeichen oben.",
    closing="Mit freundlichen Grüßen",
    reference="Zeichen",
    phone="Telefon",
    email="E-Mail",
)


class CustomerLetterSettings(Section):
    """The ``[letters]`` section.

    Attributes:
        institution: who writes.
        address: its lines.
        contact: a person to turn to, such as ``"Ada Winter, payment security"``; empty for what the
            texts call it.
        phone, email: of that person.
        texts: by language; those that are not given are Weir's, in English and German.
        font, font_bold: TrueType files for PDF; without them texts have to be Western European.
    """

    institution: str = Field(default="Your bank", min_length=1)
    address: tuple[str, ...] = ()
    contact: str = ""
    phone: str = ""
    email: str = ""
    texts: dict[str, LetterTexts] = Field(default_factory=dict)
    font: Path | None = None
    font_bold: Path | None = None

    @model_validator(mode="after")
    def _both_fonts(self) -> Self:
        if (self.font is None) != (self.font_bold is None):
            raise ValueError("font and font_bold: name both, or neither")
        return self

    def texts_in(self, language: str) -> LetterTexts:
        """The texts of a language, or of its base, such as ``de`` for ``de-CH``.

        Raises:
            ValueError: there are none; the message names the key.
        """
        known = {"en": ENGLISH, "de": GERMAN} | self.texts
        found = known.get(language) or known.get(language.partition("-")[0])
        if found is None:
            raise ValueError(
                f"letters.texts.{language}: there are no texts in this language: write them, or "
                f"choose one of {', '.join(sorted(known))}"
            )
        return found
