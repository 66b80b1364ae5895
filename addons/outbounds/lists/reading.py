"""A published list, read into entries: unpacked, its format detected, every line accounted for.

A list is used whole or not at all. Single lines that are not of the format are rejected and
reported, since no list of a million lines is without one; but a list that hardly holds a line of
its format is a list of another, and one that denies whole registries is a mistake or an attack.
Both are refused (`BadList`), and what was in force stays in force. See `formats` for what the
lines of each format mean.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, cast

from ..core.list_entry import Entry
from .blocks import blocks
from .formats.detect import belies, is_web_page, looks_like
from .formats.lines import Batch
from .formats.table import FORMATS
from .report import BadLine, BadList, Poison, Rejected, Report, Unsupported
from .unpack import Unpacked

__all__ = ["READER_VERSION", "BadLine", "BadList", "ListReader", "Poison", "Rejected", "Report",
           "Unsupported"]

READER_VERSION = 1
"""Raised whenever the same octets give other entries than before, so that no parsed copy of an
earlier version is taken for today's."""

MAX_REJECTED = 10          # lines that any list may have rejected,
MAX_REJECTED_SHARE = 0.05  # and this share of its lines that are no comments


class ListReader:
    """A list in the file `path`, called `name` in messages; `format` a name of
    `settings.rules.FormatName`, "auto" to detect it. `max_octets` bounds what it unpacks to.

    Iterating reads it from its beginning and gives the entries in the order of their lines, with
    memory that does not grow with the list; `report` is complete when the iteration is. Both the
    constructor and iterating raise BadList, and OSError for faults of the disk.
    """

    def __init__(self, path: Path, name: str, format: str = "auto", *, max_octets: int) -> None:
        self.name = name
        self._path = path
        self._max = max_octets
        self._looks_like = self._look()
        self.report = Report(self._looks_like if format == "auto" else format)
        if belies(self._looks_like, format):
            raise BadList(f"{name}: it is no list in the format {format}{self._advice(format)}")
        if not self.report.format:
            raise BadList(f"{name}: it looks like none of the formats of lists; look at what it "
                          f"is, and name its format: {', '.join(FORMATS)}")

    def __iter__(self) -> Iterator[Entry]:
        self.report = Report(self.report.format)
        # chained rather than yielded one by one: a generator more costs a tenth of the time
        return chain.from_iterable(self._batches())

    def blocks(self) -> Iterator[tuple[int, str]]:
        """(number of the first line, whole lines of text), from the beginning each time."""
        with self._open() as unpacked:
            if unpacked.is_tar:
                raise BadList(f"{self.name}: it is a tar archive, and only format: ut1 is read "
                              "from one; give the list itself")
            yield from blocks(unpacked.read, self.name)

    def members(self) -> Iterator[tuple[str, Iterator[tuple[int, str]]]]:
        """(path, blocks) of the plain files of a tar archive. Their lines are numbered through."""
        with self._open() as unpacked:
            if not unpacked.is_tar:
                raise BadList(f"{self.name}: it is no tar archive, as format: ut1 is"
                              f"{self._advice('ut1')}")
            try:
                with tarfile.open(fileobj=cast(Any, unpacked), mode="r|") as archive:
                    for member in archive:
                        # a sparse file unpacks to more than was read
                        file = archive.extractfile(member) \
                            if member.isreg() and not member.issparse() else None
                        if file is not None:
                            yield member.name, blocks(file.read, self.name, self.report.lines + 1)
                while unpacked.read(65536):
                    pass  # the check sum of what it is packed in stands at its very end
            except BadList:
                raise
            except (tarfile.TarError, EOFError, ValueError, KeyError, IndexError, OverflowError,
                    RecursionError) as error:
                raise BadList(f"{self.name}: it is no whole tar archive ({error}), so the "
                              "download was cut or its content is another; fetch it again") \
                    from None

    def _open(self) -> Unpacked:
        return Unpacked(self._path, self.name, self._max)

    def _look(self) -> str:
        with self._open() as unpacked:
            if unpacked.is_tar:
                return looks_like("", is_tar=True)
            _, text = next(blocks(unpacked.read, self.name), (1, ""))
        if not text.strip():
            raise BadList(f"{self.name}: it is empty; if that is meant, say so in a comment (# …)")
        if is_web_page(text):
            raise BadList(f"{self.name}: it is a web page or XML, and no list; look at where the "
                          "publisher has moved it to")
        return looks_like(text)

    def _batches(self) -> Iterator[Batch]:
        report = self.report
        for batch in FORMATS[report.format].read(self, report):
            yield batch
            if not report.entries and report.rejected > 1000:
                break  # a list of another format; there is nothing to be had in the rest
        self._judge(report)

    def _judge(self, report: Report) -> None:
        counted = report.kept + report.rejected + report.unsupported
        allowed = max(MAX_REJECTED, int(MAX_REJECTED_SHARE * counted))
        if not counted or (report.entries and report.rejected <= allowed):
            return
        said = f"{report.rejected} of {counted} lines are not of the format {report.format}" \
            if report.rejected else f"no line of it can be honoured, in the format {report.format}"
        first = report.samples[0] if report.samples else None
        example = f': line {first.line}: "{first.text}": {first.reason}' if first else \
            f" ({', '.join(reason for reason, _ in report.reasons.most_common(3))})"
        raise BadList(f"{self.name}: {said}{example}{self._advice(report.format)}")

    def _advice(self, format: str) -> str:
        found = self._looks_like
        if found and found != format:
            return f"; it looks like {found}: write format: {found}"
        return "; look at what it is, and name its format"
