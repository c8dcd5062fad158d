"""What a check found wrong: counted by kind, the first few of each in words."""

from collections import Counter, defaultdict

_SHOWN = 5


class Violations:
    """Broken promises.

    Attributes:
        counts: by kind, such as ``lost``, ``duplicated`` or ``wrong feature``.
        examples: the first few of each kind in words.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, detail: str, count: int = 1) -> None:
        """Note `count` cases of one kind; `detail` describes one of them."""
        self.counts[kind] += count
        if len(self.examples[kind]) < _SHOWN:
            self.examples[kind].append(detail)

    def __bool__(self) -> bool:
        return bool(self.counts)
