"""Octets as text, cut into blocks of whole lines.

Lists are read in blocks of about 64 KiB: large enough that a block of well-formed lines can be
dealt with at once, small enough that memory stays flat whatever the size of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .report import BadList

MAX_LINE = 65536
"""Octets of a line. A piece read at once is as long, so that a longer line is noticed before a
second piece of it is in memory."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def blocks(read: Callable[[int], bytes], name: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each block; every line in the text ends in one "\\n".

    `read` gives at most so many octets, none at the end; `first` numbers the first line. A byte
    order mark is dropped, CR LF is read as LF. Raises BadList.
    """
    number, rest, start = first, b"", True
    while piece := read(MAX_LINE):
        if start:
            if piece.startswith(_UTF16):
                raise BadList(f"{name}: it is UTF-16; save it as UTF-8")
            piece, start = piece.removeprefix(b"\xef\xbb\xbf"), False
        if b"\0" in piece:
            line = number + piece.count(b"\n", 0, piece.index(b"\0"))
            raise BadList(f"{name}:{line}: it contains a NUL, so it is binary and no list; give "
                          "the list itself, as text or packed with gzip, bzip2 or zip")
        end = piece.find(b"\n")
        if len(rest) + (len(piece) if end < 0 else end) > MAX_LINE:
            raise BadList(f"{name}:{number}: the line is longer than {MAX_LINE} octets, so it is "
                          "no entry of a list; give a list with one entry a line")
        whole, newline, tail = piece.rpartition(b"\n")
        if not newline:
            rest += tail
            continue
        text = _decoded(rest + whole + newline, name, number)
        rest = tail
        yield number, text
        number += text.count("\n")
    if rest:
        yield number, _decoded(rest + b"\n", name, number)


def _decoded(octets: bytes, name: str, number: int) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + octets.count(b"\n", 0, error.start)
        raise BadList(f"{name}:{line}: the octet 0x{octets[error.start]:02x} is not UTF-8; save "
                      "the list as UTF-8") from None
    return text.replace("\r\n", "\n") if "\r" in text else text
