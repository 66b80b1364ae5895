"""What verifying a bundle has shown so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..tlog.checkpoint import Checkpoint
from ..tlog.keys import LogKey
from .check_witness import Witnessed
from .container import BadFile
from .statement import Leaf, Statement


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be. `file` is its name in the bundle."""

    file: str
    problem: str


@dataclass(slots=True)
class Result:
    """The bundle is good if there are no `findings`. What could not be read is None. `keys` are
    the log's; `pinned`: the caller trusts one of them; otherwise they are the bundle's word."""

    pinned: bool
    findings: list[Finding] = field(default_factory=list)
    keys: list[LogKey] = field(default_factory=list)
    key: LogKey | None = None
    checkpoint: Checkpoint | None = None
    note: bytes = b""
    statement: Statement | None = None
    leaves: list[Leaf] = field(default_factory=list)
    witnessed: list[Witnessed] = field(default_factory=list)

    def say(self, file: str, problem: str) -> None:
        finding = Finding(file, problem)
        if finding not in self.findings:
            self.findings.append(finding)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """A BadFile in the block is a finding, and ends it."""
        try:
            yield
        except BadFile as error:
            self.say(error.file, error.problem)
