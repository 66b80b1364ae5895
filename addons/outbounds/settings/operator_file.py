"""A file that commands write and running proxies follow, for what an operator does between two
changes of the configuration.

Commands write it whether or not a proxy runs. A writer holds the lock beside it, so that two
operators at once both get what they asked for, and replaces the file by a rename, so that a reader
sees the old one or the new one, after a power cut, too.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".new"  # in the name of what a crash has left


class OperatorFile:
    """`error` is raised for every fault; its message names the file, what is wrong, and the fix.
    `size` bounds the file in bytes, `too_big` is the fix where there is more."""

    def __init__(self, path: Path, error: type[Exception], size: int, too_big: str) -> None:
        self._path = path
        self._error = error
        self._size = size
        self._too_big = too_big

    def read(self) -> bytes | None:
        """The content, None where there is no file."""
        try:
            with self._path.open("rb") as file:
                content = file.read(self._size + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(f"{self._path}: {error.strerror}; let the proxy's user read it"
                              ) from None
        if len(content) > self._size:
            raise self._error(f"{self._path}: more than {self._size} bytes; {self._too_big}")
        return content

    @contextmanager
    def changing(self) -> Iterator[None]:
        """With the lock held; waits for whoever else holds it."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _opened(self._path.with_suffix(".lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise self._error(f"{self._path}: {error.strerror}; run the command as root or as the "
                              "proxy's user") from None

    def replace(self, content: bytes) -> None:
        """Put `content` in the place of the file. Within `changing`, which turns an OSError into
        the error."""
        if len(content) > self._size:  # nobody could read it again
            raise self._error(f"{self._path}: not changed: it would have more than {self._size} "
                              f"bytes; {self._too_big}")
        draft = self._path.with_name(self._path.name + UNFINISHED)
        with _opened(draft) as file:
            os.ftruncate(file, 0)
            with os.fdopen(os.dup(file), "wb") as stream:
                stream.write(content)
            os.fsync(file)
        rename(draft, self._path)


def rename(source: Path, target: Path) -> None:
    """Rename within a folder, and see to it that the folder remembers."""
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of a file that belongs to whoever the folder belongs to: one that root made for
    itself could not be read by the proxy, and what it says would not be followed."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)
        yield file
    finally:
        os.close(file)
