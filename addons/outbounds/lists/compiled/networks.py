"""Networks: the address space cut into disjoint segments, each with the rows of what covers it.

Networks nest or are apart, so one pass in the order of their first addresses, with a stack of those
that are open, yields segments that are sorted and do not overlap. A question is a bisection. A
segment that nothing covers has row 0.

IPv4 addresses are 32-bit numbers. No array holds 128-bit ones, and few networks of IPv6 are longer
than /64: those up to there are segments of the high half; the others are segments of the low half,
apart for each high half that has any.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, Literal

from ...core.destination import Address, reaches
from ...core.hit import Hit
from ...core.list_entry import Kind
from .origins import LINE, LINE_BITS, Known, Origins
from .part import Part
from .rows import Numbers, Overflow, counted, mapped, once, rows_at, save

KINDS = (Kind.NETWORK,)
_Where = tuple[str, Literal["I", "Q"]]
_V4: _Where = ("networks.v4", "I")
_V6: _Where = ("networks.v6", "Q")
_LONG: _Where = ("networks.v6long", "Q")
_MORE = "networks.more"
FILES = (*(f"{name}.{what}" for name, _ in (_V4, _V6, _LONG) for what in ("starts", "rows")),
         "networks.v6long.highs", "networks.v6long.firsts", _MORE)
_HALF: Final = (1 << 64) - 1

# A network while it is compiled: first address, prefix length and row in one number, which sorts
# as it should (a wider network before those inside it) and takes a third of the memory of a tuple.
_Sortable = int

_Network = tuple[int, int, tuple[int, ...]]
"""First address, prefix length, rows."""


def build(folder: Path, parts: Mapping[str, Part], origins: Origins,
          step: Callable[[str, int], None]) -> None:
    v4: list[_Sortable] = []
    v6: list[_Sortable] = []
    for list_id, part in parts.items():
        for common, lines, values in part.read(*KINDS):
            numbers = {length: origins.number(list_id, common, length) << LINE_BITS
                       for length in {value[-1] for value in values}}
            for value, line in zip(values, lines, strict=True):
                first = int.from_bytes(value[:-1], "big")
                (v4 if len(value) == 5 else v6).append(
                    (first << 8 | value[-1]) << 64 | numbers[value[-1]] | line)
            step("networks", len(values))
    overflow = Overflow()
    _write(folder, _V4, *_segments(_distinct(v4, origins), 32, overflow))
    short: list[_Network] = []
    long: list[_Network] = []
    for network in _distinct(v6, origins):
        (short if network[1] <= 64 else long).append(network)
    _write(folder, _V6, *_segments(((first >> 64, length, rows) for first, length, rows in short),
                                   64, overflow))
    highs, firsts, starts, rows = array("Q"), array("Q", [0]), array("Q"), array("Q")
    for high, group in groupby(long, key=lambda network: network[0] >> 64):
        low = ((first & _HALF, length - 64, its) for first, length, its in group)
        some, theirs = _segments(low, 64, overflow)
        highs.append(high)
        starts.extend(some)
        rows.extend(theirs)
        firsts.append(len(starts))
    _write(folder, _LONG, starts, rows)
    save(folder / "networks.v6long.highs", highs)
    save(folder / "networks.v6long.firsts", firsts)
    save(folder / _MORE, overflow.rows)


def _distinct(networks: list[_Sortable], origins: Origins) -> Iterable[_Network]:
    networks.sort()
    for key, group in groupby(networks, key=lambda network: network >> 64):
        rows = once(network & _HALF for network in group)
        origins.count(counted(rows))
        yield key >> 8, key & 0xFF, rows


def _segments(networks: Iterable[_Network], bits: int, overflow: Overflow
              ) -> tuple[Iterable[int], array[int]]:
    """Starts of segments and what covers them. `networks` come in the order of `_Sortable`."""
    starts, rows = [0], array("Q", [0])
    opened: list[tuple[int, tuple[int, ...]]] = []  # where it ends, and its rows and those around

    def begin(at: int) -> None:
        row = overflow.place(opened[-1][1]) if opened else 0
        if starts[-1] == at:
            rows[-1] = row
        elif rows[-1] != row:
            starts.append(at)
            rows.append(row)

    def close(until: int) -> None:
        while opened and opened[-1][0] <= until:
            end, _ = opened.pop()
            if end < 1 << bits:
                begin(end)

    for first, length, its in networks:
        close(first)
        around = opened[-1][1] if opened else ()
        opened.append((first + (1 << bits - length), (*its, *around)))
        begin(first)
    close(1 << bits)
    return starts, rows


def _write(folder: Path, where: _Where, starts: Iterable[int], rows: array[int]) -> None:
    name, code = where
    save(folder / f"{name}.starts", array(code, starts))
    save(folder / f"{name}.rows", rows)


class Networks:
    """Raises OSError, ValueError."""

    def __init__(self, folder: Path, known: Sequence[Known | None]) -> None:
        (self._v4, self._v4_rows), (self._v6, self._v6_rows), (self._long, self._long_rows) = (
            (mapped(folder / f"{name}.starts", code), mapped(folder / f"{name}.rows"))
            for name, code in (_V4, _V6, _LONG))
        self._highs = mapped(folder / "networks.v6long.highs")
        self._firsts = mapped(folder / "networks.v6long.firsts")
        self._more: Numbers = mapped(folder / _MORE)
        self._known = known

    def match(self, address: Address) -> list[Hit]:
        """Of the address and of every address embedded in it."""
        found: list[Hit] = []
        for each in reaches(address):
            value = int(each)
            if each.version == 4:
                self._add(found, self._v4_rows[bisect_right(self._v4, value) - 1])
                continue
            high = value >> 64
            self._add(found, self._v6_rows[bisect_right(self._v6, high) - 1])
            place = bisect_left(self._highs, high)
            if place < len(self._highs) and self._highs[place] == high:
                first, last = self._firsts[place], self._firsts[place + 1]
                self._add(found, self._long_rows[
                    bisect_right(self._long, value & _HALF, first, last) - 1])
        return found

    def _add(self, found: list[Hit], row: int) -> None:
        if not row:
            return
        for each in rows_at(row, self._more):
            known = self._known[each >> LINE_BITS]
            if known is not None:
                found.append(known.hit(each & LINE, known.detail))
