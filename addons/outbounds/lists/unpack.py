"""A list's file as a stream of its plain octets: gzip, bzip2 and zip are unpacked on the way.

Nothing is believed of a packed file but what really comes out of it. It is unpacked in small
pieces and counted, and reading stops at the bound: a bomb costs as much as the bound and no more.
A stream that ends before its own end mark is a download that was cut, and an error.
"""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from .report import BadList

# Of a zip archive with these methods no read gives more than was asked for. Of the others Python
# unpacks a whole piece of input at once.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FAULTS = (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError,
           ValueError, IndexError, KeyError)
_HEAD = 512


class Unpacked:
    """The octets of a list. A context manager; `read` raises BadList, and OSError for the disk's
    own faults. `head` are the first 512 octets, which `read` still gives."""

    def __init__(self, path: Path, name: str, max_octets: int) -> None:
        self.name = name
        self._max = max_octets
        self._count = 0
        self._stack = ExitStack()
        self.packed = ""
        self.head = b""
        try:
            self._stream = self._open(path)
            self.head = self._pull(_HEAD)
        except BaseException:
            self._stack.close()
            raise
        self._ahead = self.head

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def is_tar(self) -> bool:
        """POSIX pax and GNU archives have this mark in the header of their first member."""
        return self.head[257:262] == b"ustar"

    def read(self, size: int) -> bytes:
        """At most `size` octets, fewer only at the end."""
        if self._ahead:
            found, self._ahead = self._ahead[:size], self._ahead[size:]
            return found + self._pull(size - len(found)) if len(found) < size else found
        return self._pull(size)

    def _pull(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size:
            try:
                piece = self._stream.read(size)
            except OSError as error:
                if error.errno is not None:
                    raise
                raise self._broken(error) from None
            except _FAULTS as error:
                raise self._broken(error) from None
            if not piece:
                break
            self._count += len(piece)
            if self._count > self._max:
                raise BadList(
                    f"{self.name}: it {'unpacks to' if self.packed else 'has'} more than "
                    f"{self._max} octets; if the list is really so large, allow for it (max_size)")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _broken(self, error: Exception) -> BadList:
        return BadList(f"{self.name}: it is no whole {self.packed} file ({error}), so the download "
                       "was cut or its content is another; fetch it again")

    def _open(self, path: Path) -> BinaryIO:
        file = self._stack.enter_context(path.open("rb"))
        magic = file.read(4)
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            self.packed = "gzip"
            return cast(BinaryIO, self._stack.enter_context(gzip.GzipFile(fileobj=file)))
        if magic[:3] == b"BZh":
            self.packed = "bzip2"
            return cast(BinaryIO, self._stack.enter_context(bz2.BZ2File(file)))
        if magic in (b"PK\x03\x04", b"PK\x05\x06"):
            self.packed = "zip"
            return self._member(file)
        return io.BufferedReader(file) if not isinstance(file, io.BufferedReader) else file

    def _member(self, file: BinaryIO) -> BinaryIO:
        try:
            archive = self._stack.enter_context(zipfile.ZipFile(file))
            members = [each for each in archive.infolist() if not each.is_dir()]
            if len(members) != 1:
                raise BadList(f"{self.name}: it is a zip archive of {len(members)} files, and a "
                              "list is one; name an archive that holds just the list")
            if members[0].compress_type not in _ZIP_METHODS:
                raise BadList(f"{self.name}: it is a zip archive packed in an unusual way; pack it "
                              "as deflate or use gzip")
            return cast(BinaryIO, self._stack.enter_context(archive.open(members[0])))
        except BadList:
            raise
        except (*_FAULTS, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise self._broken(error) from None
