"""A configuration with compiled lists, and builds of it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from outbounds.core.destination import parse_host
from outbounds.core.hit import Terms
from outbounds.lists.build import build
from outbounds.lists.compiled import Generation, verify
from outbounds.lists.feeds import FeedState, Fetcher
from outbounds.lists.feeds.state import FeedFolder
from outbounds.lists.places import Places, digest
from outbounds.lists.status import ListStatus, Status
from outbounds.settings import Feed, ListSource, Settings
from settings.config_folder import Folder


@asynccontextmanager
async def _nobody() -> AsyncIterator[Fetcher | None]:
    yield None


def no_access() -> AbstractAsyncContextManager[Fetcher | None]:
    """As where no collector answers."""
    return _nobody()


class House:
    """`lists` are files in the format domains, by id; see `feed` for others."""

    def __init__(self, path: Path, **lists: str) -> None:
        self.folder = Folder(path / "config")
        self.settings: Settings = self.folder.load()
        self.sources: dict[str, ListSource] = {}
        for name, text in lists.items():
            self.write(name, text)
        self.places = Places.below(self.settings.service.data)

    def write(self, name: str, text: str | bytes, format: str = "domains") -> Path:
        self.sources[name] = ListSource(Terms(name), format, Path(f"lists/{name}"))
        return self.folder.write(f"lists/{name}", text)

    def feed(self, name: str, format: str = "domains", **options: Any) -> None:
        feed = Feed(url=f"https://lists.example/{name}")
        self.sources[name] = ListSource(Terms(name), format, None,
                                        feed.model_copy(update=options))

    def downloaded(self, name: str, content: str | bytes, at: float) -> None:
        """As if the feed had just published `content`, at the Unix time `at`."""
        source, folder = self.sources[name], FeedFolder(self.places.feed(name))
        assert source.feed is not None
        self.places.make()
        folder.write(FeedState(source.feed.url))
        folder.candidate.write_bytes(
            content if isinstance(content, bytes) else content.encode())
        folder.write(FeedState(source.feed.url, sha256=digest(folder.candidate), fetched_at=at,
                               good_at=at, checked_at=at, next_check=at + source.feed.refresh))

    def build(self, **options: Any) -> Status:
        settings = dataclasses.replace(self.settings, sources=tuple(self.sources.values()))
        return build(settings, no_access, **options)

    def one(self, **options: Any) -> ListStatus:
        """Build, and say how the only list stands."""
        status, = self.build(**options).lists
        return status

    def generation(self) -> Generation:
        """The one in force, verified."""
        folder = self.places.generation()
        assert folder is not None
        verify(folder)
        return Generation.open(folder, {name: Terms(name) for name in self.sources})

    def denied(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The rules that each of `names` meets."""
        generation = self.generation()
        return {name: sorted(hit.rule for hit in generation.match(parse_host(name), 443, "", ""))
                for name in names}

    def left(self) -> set[str]:
        """Every file of the parts and every generation."""
        return {path.name for folder in (self.places.parts, self.places.generations)
                for path in folder.iterdir()}
