"""Robots.txt files for people: how they stand, and their lines. Both are in hostile hands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ..core.robots_reading import Line
from .list_status import ago
from .printing import moment


def readable(text: str) -> str:
    """A line of a file, one character per octet, as UTF-8 and without what steers a terminal."""
    plain = text.encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in plain)


def as_json(known: Mapping[str, Any]) -> dict[str, Any]:
    """How a file stands, without its octets."""
    fetched = known["fetched"]
    return {"state": known["state"], "detail": known["detail"], "sha256": known["sha256"],
            "fetched": fetched, "age": _age(fetched) if fetched else None,
            "expires": known["expires"], "url": known["url"], "status": known["status"]}


def standing(known: Mapping[str, Any] | None, size: int, how: str) -> Table:
    """How a file stands, a row for each thing there is to say."""
    table = Table.grid(padding=(0, 2))
    if known is None:
        table.add_row("state", Text("not known"))
        table.add_row("asked", Text(how))
        return table
    state = known["state"] + (f": {known['detail']}" if known["detail"] else "")
    table.add_row("state", Text(readable(state)))
    if known["fetched"]:
        table.add_row("fetched", f"{moment(known['fetched'])}, {ago(_age(known['fetched']))} ago")
    expires = known["expires"]
    table.add_row("expires", f"in {ago(expires)}" if expires > 0 else "now")
    if known["url"]:
        table.add_row("from", Text(readable(known["url"])))
    if known["sha256"]:
        table.add_row("file", f"{size:,} bytes, SHA-256 {known['sha256']}")
    table.add_row("asked", Text(how))
    return table


def line_text(lines: Mapping[int, Line], number: int) -> str:
    line = lines.get(number)
    return readable(line.text) if line is not None else ""


def _age(fetched: float) -> float:
    return max(0.0, time.time() - fetched)
