"""Where the files of compiled lists lie, all below `<data>/lists`.

    feeds/<id>/copy        the last good copy of a feed, as it was published
    feeds/<id>/candidate   the newest copy, while it is not (or not yet) good
    feeds/<id>/state.json  what the next request needs: ETag, dates, failures
    parts/<hash>.part      the entries of one list, canonical, named after what they were read from
    parts/<hash>.json      what reading it found: counts, reasons, samples
    generations/<version>/ all lists together, compiled; never changed once it is there
    current                the name of the generation in force
    status.json            how each list stands, as the last build found it
    build.lock             held while a build runs

Files that are replaced are replaced by a rename, so a reader sees the old one or the new one and
a crash leaves one of both. What carries `UNFINISHED` in its name was left by a crash; only the
holder of the lock writes here, and so may sweep it away.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from ..settings.operator_file import UNFINISHED, rename


@dataclass(frozen=True, slots=True)
class Places:
    """`root` is `<data>/lists`; see `Places.below`."""

    root: Path

    @classmethod
    def below(cls, data: Path) -> Places:
        """`data` is the folder of the run data (`settings.service.data`)."""
        return cls(data / "lists")

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def generations(self) -> Path:
        return self.root / "generations"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def lock(self) -> Path:
        return self.root / "build.lock"

    @property
    def feeds(self) -> Path:
        return self.root / "feeds"

    def feed(self, list_id: str) -> Path:
        return self.feeds / list_id

    def make(self) -> None:
        """Create the folders. They are for this user alone: a list that others may write would be
        a hole in it. Raises OSError."""
        for folder in (self.root, self.feeds, self.parts, self.generations):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def version(self) -> str:
        """The version of the generation in force, "" if there is none."""
        try:
            return self.current.read_text("ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def generation(self) -> Path | None:
        """The folder of the generation in force; it may have gone missing."""
        version = self.version()
        return self.generations / version if version else None


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path`, whole or not at all, a power cut included."""
    draft = path.with_name(path.name + UNFINISHED)
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rename(draft, path)


def digest(path: Path) -> str:
    """Hex SHA-256 of a file, "" if it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
