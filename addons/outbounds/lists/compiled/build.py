"""Compiles parts into a generation: a folder that is complete, or is not there.

All is written in a folder whose name begins with a dot, flushed to disk, and renamed as the last
step. A crash leaves at most such a folder, which nobody opens.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_hex

from ...core.list_entry import Kind
from . import names, networks, patterns, urls
from .faults import BadGeneration, CompileError
from .generation import FILES, Generation, verify
from .manifest import FORMAT, Manifest, mark, sync, version_of, write
from .origins import LINE_BITS, Origins
from .part import BadPart, Part
from .rows import counted, once

__all__ = ["DRAFT", "CompileError", "Progress", "compile_lists"]

Progress = Callable[[str, int, int], None]
"""What is being done; how many entries of it are done, and of how many."""

DRAFT = ".draft-"
"""The names of unfinished folders begin so."""


def _silent(_what: str, _done: int, _all: int) -> None:
    pass


def compile_lists(parts: Mapping[str, Path], generations: Path,
                  progress: Progress = _silent) -> Path:
    """Make the generation of these lists (id → part), a folder in `generations`, and return it.

    One that is there already and whole is returned at once; one that is damaged is replaced.
    Raises CompileError for a list that cannot be compiled (the others can, without it), OSError.
    """
    opened = {list_id: _open(list_id, parts[list_id]) for list_id in sorted(parts)}
    engine = patterns.engine() if any(Kind.PATTERN in part.kinds for part in opened.values()) \
        else ""
    digests = {list_id: part.sha256 for list_id, part in opened.items()}
    folder = generations / version_of(digests, engine)
    if folder.exists() and _whole(folder):
        return folder
    draft = generations / f"{DRAFT}{token_hex(8)}"
    draft.mkdir(parents=True)
    try:
        origins = Origins()
        keys = names.build(draft, opened, origins, _steps(opened, names.KINDS, progress))
        for each in (networks, urls, patterns):
            each.build(draft, opened, origins, _steps(opened, each.KINDS, progress))
        ports = _rows(opened, Kind.PORT, int, origins)
        schemes = _rows(opened, Kind.SCHEME, str, origins)
        progress("flushing to disk", 0, 0)
        write(draft, Manifest(
            FORMAT, sys.byteorder, folder.name, engine, digests,
            {list_id: origins.entries[list_id] for list_id in opened}, mark(draft, FILES),
            keys, origins.table, ports, schemes))
        _put_in_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _open(list_id: str, path: Path) -> Part:
    try:
        return Part(path)
    except BadPart as error:
        raise CompileError(list_id, str(error)) from None


def _whole(folder: Path) -> bool:
    try:
        verify(folder)
        Generation.open(folder, {})
    except BadGeneration:
        return False
    return True


def _steps(parts: Mapping[str, Part], kinds: tuple[Kind, ...], progress: Progress
           ) -> Callable[[str, int], None]:
    """Adds up, for `progress`, how many more entries something is done with."""
    total = sum(part.kinds.get(kind, 0) for part in parts.values() for kind in kinds)
    done: dict[str, int] = {}

    def step(what: str, more: int) -> None:
        done[what] = done.get(what, 0) + more
        progress(what, done[what], total)

    return step


def _rows[Value: (int, str)](parts: Mapping[str, Part], kind: Kind, of: type[Value],
                              origins: Origins) -> dict[Value, list[int]]:
    """Ports or schemes, and their rows."""
    found: dict[Value, list[int]] = {}
    for list_id, part in parts.items():
        for common, lines, values in part.read(kind):
            origin = origins.number(list_id, common) << LINE_BITS
            for value, line in zip(values, lines, strict=True):
                found.setdefault(value, []).append(origin | line)
    distinct = {value: once(sorted(rows)) for value, rows in sorted(found.items())}
    for rows in distinct.values():
        origins.count(counted(rows))
    return {value: list(rows) for value, rows in distinct.items()}


def _put_in_place(draft: Path, folder: Path) -> None:
    if folder.exists():  # damaged: what is mapped of it stays readable to those who have it open
        aside = folder.with_name(f"{DRAFT}{token_hex(8)}")
        os.replace(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    os.replace(draft, folder)
    sync(folder.parent)
