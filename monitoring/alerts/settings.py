"""The ``[alerts]`` section: where alarms are sent."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from streams.base.secrets import check_one_source, secret_of
from streams.base.section import Duration, Section


class AlertSettings(Section):
    """The ``[alerts]`` section.

    Attributes:
        url, url_file: of the webhook, ``https://…``; none by default. It may hold a login or a
            token, so it is a secret: give it in a file or in the environment
            (``WEIR_ALERTS__URL``).
        secret, secret_file: what alarms are signed with; unsigned by default.
        timeout: for an answer.
        tries: until an alarm is given up.
        first_wait: before the second try; twice as long before each further one, up to half a
            minute.
        max_waiting: alarms; one more is dropped.
    """

    url: SecretStr | None = None
    url_file: Path | None = None
    secret: SecretStr | None = None
    secret_file: Path | None = None
    timeout: Duration = Field(default=5_000, ge=100)
    tries: int = Field(default=8, ge=1, le=100)
    first_wait: Duration = Field(default=1_000, ge=1)
    max_waiting: int = Field(default=1_000, ge=1)

    @model_validator(mode="after")
    def _fits_together(self) -> "AlertSettings":
        check_one_source(self, "url", "secret")
        url = secret_of(self, "url")
        if url is None:
            if secret_of(self, "secret") is not None:
                raise ValueError("secret signs what is sent to url: set url, too, or neither")
            return self
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("url is no address of a webhook: write http:// or https:// and a host")
        return self
