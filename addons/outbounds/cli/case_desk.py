"""What every command of `outbounds case` begins with: the desk, and how faults are said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from ..evidence.archive.reading import Damaged
from ..evidence.archive.seal import BadSeal
from ..evidence.cases.desk import Desk, NotDone
from ..evidence.cases.store import (
    CaseClosed,
    CaseDamaged,
    CaseExists,
    Cases,
    NoSuchCase,
    cases_of,
)
from ..evidence.owner import become_owner
from ..evidence.privacy import load_key
from ..evidence.shipping.reach import reachable
from ..evidence.submit import EvidenceUnavailable, Recording, recording
from ..settings import SettingsError
from ..settings.evidence import Evidence
from ..settings.evidence_file import load_evidence
from .who_types import operator

FAULTS = (NotDone, CaseClosed, CaseDamaged, CaseExists, NoSuchCase, EvidenceUnavailable,
          SettingsError, Damaged, BadSeal, ValueError)


@dataclass(frozen=True, slots=True)
class Office:
    """Where cases and the log are; `key` makes pseudonyms, `operator` runs the command."""

    cases: Cases
    data: Path
    evidence: Evidence
    key: bytes
    operator: str

    @property
    def directory(self) -> Path:
        return self.evidence.directory

    @contextmanager
    def recorder(self) -> Iterator[Recording]:
        """Raises EvidenceUnavailable."""
        with recording(self.directory, self.evidence.socket) as found:
            yield found

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """Raises EvidenceUnavailable."""
        with self.recorder() as found:
            yield Desk(self.cases, found, self.operator)


@contextmanager
def office(config_dir: Path) -> Iterator[Office]:
    """The configuration's. Whatever goes wrong in the block is said, and ends the command with 1:
    nothing was done then."""
    try:
        data, evidence = load_evidence(config_dir)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        who, key = operator(), load_key(data)
        # what root wrote, the keeper could not read: and a hold that it cannot read stops it
        become_owner(evidence.directory if evidence.directory.exists() else data)
        with reachable(evidence.store):
            yield Office(cases_of(evidence.directory), data, evidence, key, who)
    except FAULTS as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from None
