"""A list that is compiled by a process of its own, as destinations.yaml describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.hit import Terms
from .rules import Feed


@dataclass(frozen=True, slots=True)
class ListSource:
    """Exactly one of `file` (absolute, or below the folder as given) and `feed` is there.

    `format` is a name of `settings.rules.FormatName`; "auto" detects it.
    """

    terms: Terms
    format: str
    file: Path | None = None
    feed: Feed | None = None

    @property
    def id(self) -> str:
        return self.terms.id
