"""`<data>/captures.json`: of which accounts what is captured, for which case, to whom, until when.

Commands write it and running proxies follow it (`settings.operator_file`). An order that has ended
does nothing; it goes when the file is written next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from ...settings.operator_file import OperatorFile

MAX_SIZE = 256 * 1024
LONGEST = 92 * 86_400.0  # s: a capture for longer than a quarter is surveillance, not a case

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
CaseId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]


class CapturesFileError(Exception):
    """The file cannot be read or written. The message names it, what is wrong, and the fix."""


class CaptureOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Capture `account` (its id) for `case` from `since` until `until`, encrypted to `recipient`
    (age1…): at most `each` octets of each body, and files of `most` octets in all."""

    case: CaseId
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    recipient: Annotated[str, msgspec.Meta(pattern=r"^age1[0-9a-z]{58}$")]
    since: Moment
    until: Moment
    each: Annotated[int, msgspec.Meta(ge=0, le=16 * 1024 * 1024)]
    most: Annotated[int, msgspec.Meta(gt=0)]
    by: Line

    def in_force(self, now: float) -> bool:
        """`now` is Unix s."""
        return self.since.timestamp() <= now < self.until.timestamp()


Orders = tuple[CaptureOrder, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    captures: Orders


def captures_path(data: Path) -> Path:
    """`data` is the folder of the run data (`settings.service.data`)."""
    return data / "captures.json"


def captured_folder(data: Path, case: str) -> Path:
    """Where what `case` has captured is kept. Not with the case, which belongs to whoever runs the
    collector: the proxy writes this."""
    return data / "captured" / case


def read_orders(path: Path) -> Orders:
    """What the file says; nothing is captured where there is none. Raises CapturesFileError."""
    content = _file(path).read()
    if content is None:
        return ()
    return _parse(path, content)


def _parse(path: Path, content: bytes) -> Orders:
    try:
        orders = msgspec.json.decode(content, type=_File).captures
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CapturesFileError(f"{path}: {error}; mend the file, or remove it and order the "
                                "captures again") from None
    for number, order in enumerate(orders):
        if not 0 < (order.until - order.since).total_seconds() <= LONGEST:
            raise CapturesFileError(f"{path}: captures[{number}].until: must come after since, "
                                    f"{LONGEST / 86_400:.0f} days at most")
    return orders


def add_order(path: Path, order: CaptureOrder) -> None:
    """In place of one of the same case and account. Raises CapturesFileError."""
    with _changing(path) as (orders, write):
        write((*(each for each in orders if not _same(each, order.case, order.account)), order))


def remove_orders(path: Path, case: str, account: str | None = None) -> Orders:
    """End what is captured for `case`, of `account` or of all; which these were. Raises
    CapturesFileError."""
    with _changing(path) as (orders, write):
        gone = tuple(each for each in orders if _same(each, case, account or each.account))
        if gone:
            write(tuple(each for each in orders if each not in gone))
        return gone


def _same(order: CaptureOrder, case: str, account: str) -> bool:
    return (order.case, order.account) == (case, account)


def _file(path: Path) -> OperatorFile:
    return OperatorFile(path, CapturesFileError, MAX_SIZE, "end captures that nobody needs "
                        "(`outbounds case capture --stop`)")


@contextmanager
def _changing(path: Path) -> Iterator[tuple[Orders, Callable[[Orders], None]]]:
    """The orders still in force or to come, and how to replace them, with the lock held."""
    file = _file(path)

    def write(orders: Orders) -> None:
        content = msgspec.json.format(msgspec.json.encode(_File(orders)), indent=1) + b"\n"
        _parse(path, content)  # what could not be read again would stop every capture
        file.replace(content)

    with file.changing():
        now = datetime.now(UTC)
        yield tuple(each for each in read_orders(path) if each.until > now), write
