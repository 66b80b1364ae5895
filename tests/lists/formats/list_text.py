"""A list written and read in one call, for tests."""

from __future__ import annotations

from pathlib import Path

from outbounds.core.list_entry import Entry
from outbounds.lists.reading import ListReader, Report


def read(folder: Path, format: str, content: str | bytes, most: int = 1 << 24,
         ) -> tuple[list[Entry], Report]:
    """Raises BadList, whose messages call the list x.txt."""
    path = folder / "x.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    reader = ListReader(path, "x.txt", format, max_octets=most)
    return list(reader), reader.report
