"""The one filter for secrets: what is said, logged or reported passes `without_secrets`.

It masks logins in URLs, private keys, authorization headers, and the values of the secret settings
that this process has read, which `remember` is told by whatever reads one.
"""

import json
import re
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "**********"
_SHORTEST = 4
"""Characters of a secret that is masked wherever it stands: a shorter one is a part of words."""
_TELLING = (
    "password",
    "passphrase",
    "secret",
    "credential",
    "key.pem",
    "token",
    "jaas.config",
    "oauthbearer.config",
    "user.info",
)
_LOGIN = re.compile(
    r"""([a-zA-Z][\w+.-]*:/{1,3}|(?<![\w:/])//)  # of a URL, the scheme (a path halves //); then
    (?: [^\s/?#'"<>]*              # all up to the last @ before the path
      | [^\s/@:]+:(?!\d+[/?\#])[^\s"]*  # or user:password, with / or ' in it unquoted
    )@""",
    re.VERBOSE,
)
_WORDS = "password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|signature|credentials?"
_PARAMETER = re.compile(rf"([?&;][\w.-]*(?:{_WORDS})=)[^&;\s\"'<>]+", re.IGNORECASE)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*b?['\"]?\w+\s+)[\w+/=.~-]+", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_PASSWORDS = (
    re.compile(r"(?:^|/|[\s,;'\"\[(])[^\s/@:]*:(?!//)([^\s\"]+)@"),
    re.compile(r"(?:^|/|[\s,;'\"\[(])[^\s/@:]*:(?!//)([^\s\"@,]+)@"),  # of one URL among several
    re.compile(r"\A(?:[a-zA-Z][\w+.-]*:/+)?[^/@:]*:(?!//)(.+)@", re.DOTALL),  # with blanks in it
    re.compile(r"\b(?:password|secret)=\\?[\"']([^\"'\\]+)"),
)
"""What is a password in the value of a setting that may hold a login."""


class KnownSecrets:
    """The secrets that a process has read, in every form in which a message may show them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these from now on, and the passwords of those that are URLs."""
        forms = {form for secret in secrets for form in _forms(secret)}
        with self._lock:
            if forms <= self._forms:
                return
            self._forms |= forms
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def mask(self, text: str) -> str:
        """The text without them."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


_known = KnownSecrets()
"""One for the process, as its log is: what a library says of a secret is masked, too."""


def remember(*secrets: str) -> None:
    """Mask these in all that this process says from now on."""
    _known.add(secrets)


def without_secrets(text: str) -> str:
    """A text with a mask in place of each secret in it.

    >>> without_secrets("http://clerk:opensesame@mlflow:5000/api?token=abc failed")
    'http://***@mlflow:5000/api?token=*** failed'
    """
    text = _known.mask(text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub("(a private key)", text)
    if "=" in text:
        text = _PARAMETER.sub(r"\1***", text)
    if "uthorization" in text or "UTHORIZATION" in text:
        text = _HEADER.sub(r"\1***", text)
    return without_logins(text)


def without_logins(text: str) -> str:
    """A text with a mask in place of the login of each URL in it.

    >>> without_logins("http://clerk:opensesame@mlflow:5000/api failed")
    'http://***@mlflow:5000/api failed'
    """
    return _LOGIN.sub(r"\1***@", text) if "@" in text else text


def hide(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of Kafka or its client, with a mask in place of each secret."""
    return {name: HIDDEN if is_telling(name) else value for name, value in properties.items()}


def is_telling(name: str) -> bool:
    """Whether a property of Kafka or its client, by its name, is a secret."""
    return any(word in name for word in _TELLING)


def passwords_in(text: str) -> list[str]:
    """The passwords in a URL, or in a login module's line, as they stand there."""
    found = [password for pattern in _PASSWORDS for password in pattern.findall(text)]
    return found + [match[0].partition("=")[2] for match in _PARAMETER.finditer(text)]


def _forms(secret: str) -> set[str]:
    plain = {secret, secret.strip()}
    for password in passwords_in(secret):
        plain |= {password, unquote(password)}
    plain |= {line.strip() for each in list(plain) for line in each.split("\n")}
    forms = set(plain)
    for each in plain:
        forms |= {quote(each, errors="replace"), quote(each, safe="", errors="replace")}
        forms |= {quote_plus(each, errors="replace"), json.dumps(each)[1:-1], repr(each)[1:-1]}
        forms.add(repr(each.encode(errors="replace"))[2:-1])
    return {form for form in forms if len(form) >= _SHORTEST}
