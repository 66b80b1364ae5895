"""Thousands of lines at once, where all of them are plain.

Most lines of most lists are a name that is canonical as it stands, between the same few characters
(`0.0.0.0 ` before it, `^` after it). A block of such lines is taken apart by one split and checked
as a whole by operations that the interpreter does in C, for a third of a microsecond a line. One
line that is not so plain, and the whole block is left to the format's parser, which is the judge
of what a line means: `names` answers only where `core.list_entry.canonical_name` gives back each
name as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from typing import cast

from ...core.destination import MAX_LABEL
from ...core.list_entry import EVERYONE, Effect, Entry, Kind
from .suffixes import suspects

_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_-.\n"
# Empty labels; A-labels, which have to be decoded; hexadecimal numbers, which may be an address.
_NOT_PLAIN = ("..", "\n.", ".\n", "\n\n", "xn--", ".0x")
_DIGITS = frozenset("0123456789")

_entry = cast(Callable[[Iterable[object]], Entry], partial(tuple.__new__, Entry))


@dataclass(frozen=True, slots=True)
class Shape:
    """Lines that are `before`, a plain name, `after`, and mean an entry of `kind`."""

    kind: Kind
    before: str = ""
    after: str = ""

    def names(self, text: str) -> list[str] | None:
        """The names of whole lines of text; None if one of them is not of this shape."""
        before, after = self.before, self.after
        if not (text.startswith(before) and text.endswith(after + "\n") and text.isascii()):
            return None
        names = text[len(before):len(text) - len(after) - 1].split(f"{after}\n{before}")
        if len(names) != text.count("\n"):
            return None
        joined = "\n" + "\n".join(names) + "\n" if before or after else "\n" + text
        if joined.encode().translate(None, _LETTERS) or any(part in joined for part in _NOT_PLAIN):
            return None
        # no name over 63 octets has no label over 63 octets; a name that ends in a digit may be
        # an address; without a dot it is no domain
        if len(max(names, key=len)) > MAX_LABEL \
                or not _DIGITS.isdisjoint({each[-1] for each in names}) \
                or [each for each in names if "." not in each]:
            return None
        return names if self.kind is Kind.HOST or not _suspicious(names) else None

    def entries(self, names: Sequence[str], first: int) -> Iterable[Entry]:
        return map(_entry, zip(repeat(self.kind), names, count(first), repeat(Effect.DENY),
                               repeat(()), repeat(EVERYONE), strict=False))


def _suspicious(names: Sequence[str]) -> bool:
    suffixes, parents = suspects()
    return not suffixes.isdisjoint(names) or not parents.isdisjoint(
        {each.partition(".")[2] for each in names})
