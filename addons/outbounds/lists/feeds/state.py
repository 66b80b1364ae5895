"""What is remembered of a feed between two requests.

`candidate` and `copy` are told apart by content: the newest download is whichever of them has the
digest that the state names. So no crash between two renames can make one be taken for the other,
and a copy that a disk has spoiled is downloaded again instead of being believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ...settings.operator_file import rename
from ..places import digest, replace_file


@dataclass(frozen=True, slots=True)
class FeedState:
    """Times are Unix times in seconds, 0 for never.

    `etag` and `last_modified` are those of the answer whose content has `sha256` (hex), to be sent
    back; `fetched_at` is when that came, `good_at` when the publisher last said that it is what it
    publishes. `failures` counts since the last success; `error` is what the last one said.
    """

    url: str = ""
    etag: str = ""
    last_modified: str = ""
    sha256: str = ""
    fetched_at: float = 0.0
    good_at: float = 0.0
    checked_at: float = 0.0
    next_check: float = 0.0
    failures: int = 0
    error: str = ""


class FeedFolder:
    """`feeds/<id>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.copy = folder / "copy"
        self.candidate = folder / "candidate"
        self.download = folder / "download.new"
        self._state = folder / "state.json"

    def read(self, url: str) -> FeedState:
        """The state, or a blank one if there is none for this URL."""
        try:
            state = msgspec.json.decode(self._state.read_bytes(), type=FeedState)
        except (FileNotFoundError, msgspec.DecodeError):
            return FeedState(url)
        return state if state.url == url else FeedState(url)

    def write(self, state: FeedState) -> None:
        """Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        replace_file(self._state, msgspec.json.encode(state))

    def newest(self, state: FeedState) -> Path | None:
        """The newest download; None if it is not there, or not as it was downloaded."""
        return next((path for path in (self.candidate, self.copy)
                     if state.sha256 and digest(path) == state.sha256), None)

    def keep_download(self) -> None:
        """The download is whole: it becomes the candidate."""
        rename(self.download, self.candidate)

    def accept(self, newest: Path) -> None:
        """What is in it is good: from now on it is the copy to fall back to."""
        if newest == self.candidate:
            rename(self.candidate, self.copy)


def shown_url(url: str) -> str:
    """The URL without credentials, fit for a log."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
