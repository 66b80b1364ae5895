"""Finding events in the log: hot and sealed records alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..archive.reading import read_all
from ..line import fields, is_erased
from .conditions import meets
from .event import Event, Found, gathered
from .query import Endpoint, Query, Target

__all__ = ["Endpoint", "Event", "Found", "Query", "Target", "search"]


def search(directory: Path, query: Query) -> Iterator[Event]:
    """The events of the log under `directory` that meet `query`, by their ids, which sort by time.
    Raises as `archive.reading.read_all`."""
    records = (Found(each.position, fields(each.envelope, each.detail))
               for each in read_all(directory) if not is_erased(each.envelope))
    for id, found in sorted(gathered(records).items()):
        event = Event(id, tuple(found))
        if meets(event, query):
            yield event
