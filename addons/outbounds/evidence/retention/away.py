"""Segments whose records have left this machine for the object store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ...settings.evidence import Evidence
from ..archive.layout import Segment
from ..archive.seal import load_seal
from ..keeper.task import KeeperFault


def is_away(segment: Segment) -> bool:
    """Raises BadSeal, OSError."""
    seal = load_seal(segment.seal)
    return not all((segment.folder / each.name).exists() for each in (seal.records, seal.details))


@contextmanager
def reaching(segments: Iterable[Segment], settings: Evidence) -> Iterator[None]:
    """While the block runs, what is away is read from the store. Raises KeeperFault."""
    if settings.store is None or not any(map(is_away, segments)):
        yield
        return
    from ..shipping.credentials import BadCredentials
    from ..shipping.remote import Remote
    from ..shipping.store import StoreFault

    try:
        remote = Remote(settings.store)
    except (StoreFault, BadCredentials) as error:
        raise KeeperFault(str(error)) from None
    with remote.attached():
        yield


def bring_back(segment: Segment, settings: Evidence) -> None:
    """Its files are here again, if they were not: what is removed there is removed by shipping it
    anew. Raises Damaged, BadSeal, OSError."""
    if settings.store is None or not is_away(segment):
        return
    from ..shipping.remote import Remote
    from ..shipping.store import StoreFault

    try:
        Remote(settings.store).bring_back(segment)
    except StoreFault as error:
        raise OSError(str(error)) from None
