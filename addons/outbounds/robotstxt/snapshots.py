"""What robots.txt files said, kept once for each content: so that years later it can be shown what
a decision went by.

A file lies under the hex SHA-256 of its octets: `ab/abcdef….txt` holds exactly what was parsed. It
is written beside its place, made safe and renamed, so that a crash leaves the whole file or none,
and two processes that write the same one do each other no harm. When it was last seen at any site
is its modification time.

A sweep must not remove what another process has just found to be there: whoever keeps a file holds
its folder shared, and a sweep holds it alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TOUCH_EVERY = 3600.0
"""Seconds: a file that is seen all the time is touched no more often than this."""

_ABANDONED = 3600.0  # seconds after which a draft is nobody's any more
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_REMEMBERED = 65_536


class Snapshots:
    """`folder` is made when it is needed, `keep` seconds is how long a content is kept that is not
    seen any more; `wall` is Unix time."""

    def __init__(self, folder: Path, keep: float, wall: Callable[[], float] = time.time) -> None:
        self._folder = folder
        # what is touched once an hour must not look old in between
        self._keep = max(keep, 2 * TOUCH_EVERY)
        self._wall = wall
        self._seen: dict[str, float] = {}  # whole operations only: threads share it

    def due(self, digest: str) -> bool:
        """Whether `keep` has anything to do for this content. Touches no disk."""
        return self._wall() - self._seen.get(digest, float("-inf")) >= TOUCH_EVERY

    def keep(self, digest: str, body: bytes) -> None:
        """Make sure that this content is safe on disk, and note that it was seen now. Blocks;
        raises OSError where it cannot be kept, and it is not there already."""
        now = self._wall()
        path = self._path(digest)
        self._make(path.parent)
        with _held(path.parent, fcntl.LOCK_SH):
            if not self._touch(path, len(body), now):
                self._write(path, body, now)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[digest] = now

    def read(self, digest: str) -> bytes | None:
        """The file with this digest; None if there is none, or what is there is not it. Blocks."""
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            body = self._path(digest).read_bytes()
        except OSError:
            return None
        return body if hashlib.sha256(body).hexdigest() == digest else None

    def prune(self, now: float) -> int:
        """Remove what was last seen `keep` seconds before the Unix time `now`; how many. Blocks;
        what cannot be removed is left for the next time."""
        removed = 0
        with suppress(FileNotFoundError):
            for folder in sorted(self._folder.iterdir()):
                with suppress(OSError), _held(folder, fcntl.LOCK_EX):
                    removed += self._sweep(folder, now)
        return removed

    def _sweep(self, folder: Path, now: float) -> int:
        removed = 0
        for path in folder.iterdir():
            age = now - path.stat().st_mtime
            if path.suffix == ".txt" and age >= self._keep:
                path.unlink(missing_ok=True)
                removed += 1
            elif path.suffix == ".draft" and age >= _ABANDONED:
                path.unlink(missing_ok=True)
        return removed

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.txt"

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        for each in (self._folder, folder):
            with suppress(FileExistsError):
                each.mkdir(mode=0o700)
                self._give(each)
                _sync(each.parent)

    def _touch(self, path: Path, size: int, now: float) -> bool:
        """Whether the whole file is there, and now says when it was seen."""
        try:
            if path.stat().st_size != size:
                return False
            os.utime(path, (now, now))
        except OSError:
            return False
        return True

    def _write(self, path: Path, body: bytes, now: float) -> None:
        draft = path.with_name(f"{path.stem}.{secrets.token_hex(8)}.draft")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                self._give(draft)
                file.write(body)
                file.flush()
                os.utime(draft, (now, now))
                os.fsync(file.fileno())
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync(path.parent)  # or a loss of power takes the name back

    def _give(self, path: Path) -> None:
        """To the user whose data this is: made by root's command, it would shut the proxy out."""
        if os.geteuid() == 0:
            owner = self._folder.parent.stat()
            os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def _held(folder: Path, how: int) -> Iterator[None]:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, how)
        yield
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
