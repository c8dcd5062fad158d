"""The ``[log]`` section."""

from typing import Literal

from streams.base.section import Section


class LogSettings(Section):
    """The ``[log]`` section: what commands say on stderr. See `weir.config.logs`.

    Attributes:
        format: ``text``, or ``json``: one object a line.
        level: the least that is said; ``weir -v`` says everything.
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
