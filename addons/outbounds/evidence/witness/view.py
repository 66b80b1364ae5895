"""What each kind of witness is given and gives, and the check that comes before any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ...settings.evidence import Witness
from ..tlog.log_tree import LogTree
from ..tlog.moment import written
from ..tlog.note import Verifier
from .stamps import Stamp

SKEW = 300  # s that a witness's clock and ours may differ by

FIX = ("the log may have been rewritten, or an older state of it brought back from a backup. Keep "
       "this machine's disks and the witness's as they are, and run `outbounds evidence verify`")


class Refused(Exception):
    """The witness could not be shown the checkpoint, or its answer proves nothing. The message
    names the fix."""


class Rewritten(Exception):
    """The witness, or what it once answered, knows of another history. The message says of what
    size."""


class View(NamedTuple):
    """The log as it is to be shown: its tree, with the newest checkpoint and its note; the keys
    that signed for it; `now` in Unix s."""

    tree: LogTree
    keys: list[Verifier]
    now: float


@dataclass(frozen=True, slots=True)
class Answer:
    """When it was seen (Unix s), and the contents of the stamp's files (`stamps.SUFFIXES`)."""

    at: int
    contents: tuple[bytes, ...]


class Ask(Protocol):
    def __call__(self, view: View, witness: Witness, before: Stamp | None) -> Answer | None:
        """`before` is the witness's newest stamp; None is returned where it needs no newer one.
        Raises Refused, Rewritten, OSError and what reading the log's tree raises."""


def compare(view: View, size: int, root: bytes, where: str) -> None:
    """That the log as it is extends the one of `size` records under `root` which `where` saw.
    Raises Rewritten."""
    if size > view.tree.size:
        raise Rewritten(f"{where} saw {size} records, and the log has {view.tree.size}: {FIX}")
    if view.tree.root(size) != root:
        raise Rewritten(f"{where} saw other records among the first {size}: {FIX}")


def timely(at: int, view: View) -> int:
    """`at`, by the witness's clock, where that and ours agree. Raises Refused."""
    if abs(at - view.now) > SKEW:
        raise Refused(f"it answered with the time {written(at)}, and here it is "
                      f"{written(view.now)}: one of the two clocks is wrong, and the stamp was not "
                      "kept")
    return at
