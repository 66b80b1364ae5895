"""Objects of named fields in JSON: access logs of one object a line, or all in one array."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from .moments import Clock
from .named_fields import sighting_of
from .sighting import Complaint, unread

MAX_DEPTH = 6
MAX_FIELDS = 400
MAX_ENTRIES = 10_000

Entry = Callable[[dict[str, Any], Clock, str], Complaint]


class NoJson(ValueError):
    """Not a JSON object or array. The message says where it stops being one."""


def load_json(text: str) -> Any:
    """Raises NoJson."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise NoJson("nested deeper than any report is") from None
    except ValueError as error:
        raise NoJson(f"not JSON: {error}") from None
    if not isinstance(document, (dict, list)):
        raise NoJson("JSON, but neither an object nor an array")
    return document


def parse_json(text: str, clock: Clock, source: str = "",
               entry: Entry | None = None) -> Complaint:
    """Every entry of a JSON text; `entry` reads one, `parse_entry` unless told."""
    try:
        document = load_json(text)
    except NoJson as error:
        return unread(source, text, str(error))
    found = Complaint("")
    for number, each in enumerate(_entries(document), 1):
        if number > MAX_ENTRIES:
            return found + unread(source, "", f"only the first {MAX_ENTRIES:,} entries are read")
        where = source or (f"entry {number}" if isinstance(document, list) else "")
        found += (entry or parse_entry)(each, clock, where)
    if not found.sightings and not found.unread:
        return unread(source, text, "JSON, but it holds no entry with named fields")
    return found


def _entries(document: Any) -> Iterator[dict[str, Any]]:
    """The objects that are an entry each: the document, its elements, or those of the one list
    that a document without fields of its own wraps."""
    if isinstance(document, dict):
        lists = [value for value in document.values()
                 if isinstance(value, list) and value and isinstance(value[0], dict)]
        if len(lists) == 1 and not any(name in document for name in (
                "evidence", "Report", "request")) and len(document) <= 4:
            yield from _entries(lists[0])
        else:
            yield document
    else:
        yield from (each for each in document if isinstance(each, dict))


def parse_entry(entry: dict[str, Any], clock: Clock, source: str) -> Complaint:
    """One object of named fields."""
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    found = sighting_of(flattened(entry), clock, source, text=text[:200])
    return Complaint("JSON log", found.sightings, found.unread)


def flattened(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(dotted name, text) of each plain value, at most MAX_FIELDS and MAX_DEPTH deep. Of a list
    of plain values the first."""
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    given = 0
    while waiting and given < MAX_FIELDS:
        name, each, depth = waiting.pop(0)
        if isinstance(each, dict) and depth < MAX_DEPTH:
            waiting += [(f"{name}.{key}" if name else str(key), inner, depth + 1)
                        for key, inner in list(each.items())[:MAX_FIELDS]]
        elif isinstance(each, list) and each and not isinstance(each[0], (dict, list)):
            waiting.insert(0, (name, each[0], depth))
        elif isinstance(each, (str, int, float)) and not isinstance(each, bool):
            given += 1
            yield name, repr(each) if isinstance(each, float) else str(each)[:4096]
