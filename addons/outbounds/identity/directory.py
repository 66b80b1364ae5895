"""What the identifier needs of a place that holds accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from outbounds.core.account import Account


class Directory(Protocol):
    """Look-ups run on the event loop, so each must be one indexed read.

    `changes_since(counter)` returns the counter now and the ids of the accounts that were added,
    changed, renamed or removed since; None instead of ids means that anything may have changed.
    It is asked several times a second and must cost next to nothing when nothing happened.
    `sample_hashes` returns some of the password hashes, picked without regard to their scheme.
    """

    def by_name(self, name: str) -> tuple[Account, str] | None: ...

    def by_id(self, account_id: str) -> Account | None: ...

    def by_source(self, ip: str) -> Account | None: ...

    def changes_since(self, counter: int) -> tuple[int, Sequence[str] | None]: ...

    def sample_hashes(self, limit: int) -> Sequence[str]: ...
