"""What reading a list found, and the error that says a list cannot be used.

Every line ends in exactly one of four ways: it is kept, it is a comment (or blank), it is
unsupported (understood, but a proxy cannot honour it), or it is rejected. The four add up to the
lines of the list, so nothing is ever passed over in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

SAMPLES = 20      # rejected lines kept to be shown
MAX_REASONS = 64  # different reasons counted apart; a hostile list could have one for every line
OTHER = "other reasons"


class BadList(ValueError):
    """A list that must not be used: file, line where known, value and fix, a sentence a line."""


class Unsupported(Exception):
    """A line that is understood and cannot be honoured by a proxy. Its text is the reason, which
    holds nothing of the line, so that lines are counted together."""


class BadLine(Exception):
    """A line that is not of the format. Its text is the reason; `kept` are the entries of those of
    its parts that are good, so that one bad name does not let the others through."""

    def __init__(self, reason: str, kept: Iterable[object] = ()) -> None:
        super().__init__(reason)
        self.kept = tuple(kept)


class Poison(Exception):
    """An entry that would deny (or allow) far more than any list can mean: the list is not what
    its publisher wrote, or wrote by mistake, and none of it is used. Its text says what and the
    fix."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """`text` is fit to be shown: printable, and at most 81 characters."""

    line: int
    text: str
    reason: str


@dataclass(slots=True)
class Report:
    """Counts of lines, except `entries`: a line may hold several.

    `reasons` counts the lines that are unsupported or rejected by why; `samples` are the first of
    those that were rejected.
    """

    format: str
    lines: int = 0
    comments: int = 0
    kept: int = 0
    entries: int = 0
    unsupported: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[Rejected] = field(default_factory=list)

    def leave_out(self, reason: str, lines: int = 1) -> None:
        """Count lines that are unsupported."""
        self.unsupported += lines
        self._count(reason, lines)

    def reject(self, line: int, text: str, reason: str, lines: int = 1) -> None:
        self.rejected += lines
        self._count(reason, lines)
        if len(self.samples) < SAMPLES:
            self.samples.append(Rejected(line, shown(text), reason))

    def _count(self, reason: str, lines: int) -> None:
        if reason not in self.reasons and len(self.reasons) >= MAX_REASONS:
            reason = OTHER
        self.reasons[reason] += lines


def shown(text: str) -> str:
    """Text fit for one line of a terminal."""
    cut = text if len(text) <= 80 else text[:80] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
