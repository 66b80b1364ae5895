"""The keeper's task: show every witness the newest checkpoint, and keep what they answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...settings.evidence import Witness
from ..archive.reading import Damaged
from ..archive.seal import BadSeal
from ..keeper.task import KeeperFault, Keeping
from ..tlog.checkpoint import BadCheckpoint
from ..tlog.keys import KeyUnusable, read_keys
from ..tlog.log_tree import LogTree, Unprovable
from ..tlog.note import BadNote
from ..tlog.tiles import BadTile
from ..tlog.verified import parse_signed
from . import appended, cosigned, timestamped
from .stamps import BadStamp, Stamp, folder_of, keep, stamps_in
from .view import Answer, Ask, Refused, Rewritten, View, compare

PATIENCE = 45.0  # s for all of a witness's answer

_UNREADABLE = (Unprovable, BadTile, BadNote, BadCheckpoint, Damaged, BadSeal, KeyUnusable)

KINDS: Mapping[str, Ask] = {
    "file": appended.ask,
    "url": cosigned.ask,
    "timestamp": timestamped.ask,
}


def kind_of(witness: Witness) -> str:
    """The key of `KINDS` (and of `stamps.SUFFIXES`) that it is configured as."""
    return next(kind for kind in KINDS if getattr(witness, kind) is not None)


def run(keeping: Keeping) -> None:
    """As `keeper.task.Task`. In `status`: "stamped.NAME" is the Unix s of a witness's newest stamp,
    0 if it has none."""
    if keeping.settings is None or not keeping.settings.witnesses:
        return
    view = _view(keeping.directory, keeping.now)
    if view is None:
        return
    asked = [_Asking(view, each, folder_of(keeping.directory) / each.name)
             for each in keeping.settings.witnesses]
    deadline = time.monotonic() + PATIENCE
    faults = []
    for each in asked:
        fault = each.finish(deadline)
        if fault:
            faults.append(f"witness {each.witness.name}: {fault}")
        keeping.status[f"stamped.{each.witness.name}"] = each.newest.at if each.newest else 0
    if faults:
        raise KeeperFault("; ".join(faults))


def _view(directory: Path, now: float) -> View | None:
    """None where nothing was signed yet."""
    if not (directory / "log" / "checkpoint").exists():
        return None
    try:
        keys = [each.verifier for each in read_keys(directory / "log" / "keys")]
        tree = LogTree.open(directory)
        # what is not ours is shown to nobody: a witness would believe it ours from then on
        if parse_signed(tree.note, keys).at is None:
            raise KeeperFault(f"{directory}: the newest checkpoint has no time")
    except _UNREADABLE as error:
        raise KeeperFault(f"no witness was asked: {error}") from None
    return View(tree, keys, now)


class _Asking:
    """One witness being asked, in a thread of its own: a peer that never ends its answer, or a
    name server or a mount that hangs, holds up neither the other witnesses nor the keeper."""

    def __init__(self, view: View, witness: Witness, folder: Path) -> None:
        self.witness = witness
        self.newest: Stamp | None = None
        self._view, self._folder = view, folder
        self._answer: Answer | None = None
        self._fault = ""
        self._thread = threading.Thread(target=self._ask, daemon=True,
                                        name=f"witness {witness.name}")
        try:
            self.newest = newest(folder)
            if self.newest is not None:
                compare(view, self.newest.size, self.newest.root, str(self.newest.files[0]))
        except (BadStamp, Rewritten, OSError) as error:
            self._fault = str(error)
        else:
            self._thread.start()

    def _ask(self) -> None:
        try:
            self._answer = KINDS[kind_of(self.witness)](self._view, self.witness, self.newest)
        except (Refused, Rewritten, OSError, *_UNREADABLE) as error:
            self._fault = str(error)
        except Exception as error:  # nobody hears what a thread raises
            self._fault = f"{type(error).__name__}: {error}"

    def finish(self, deadline: float) -> str:
        """Wait until `deadline` (monotonic s) and keep the answer; what went wrong, "" if
        nothing did."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
            if self._thread.is_alive():
                return f"no answer within {PATIENCE:g} s"
        if self._fault or self._answer is None:
            return self._fault
        try:
            self.newest = keep(self._folder, kind_of(self.witness), self._answer.at,
                               self._view.tree.size, self._answer.contents)
        except (BadStamp, OSError) as error:
            return f"its answer could not be kept: {error}"
        return ""


def newest(folder: Path) -> Stamp | None:
    """A witness's newest stamp. Raises BadStamp, OSError."""
    found: Sequence[Stamp] = stamps_in(folder)
    return found[-1] if found else None
