from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from collecting import Collector, Proxy


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


@pytest.fixture
def collect(directory: Path, tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    started: list[Collector] = []

    def start(*options: str, at: Path = directory, **popen: object) -> Collector:
        started.append(Collector(at, tmp_path / "socket", *options, **popen))
        return started[-1]

    yield start
    for collector in started:
        if collector.process.poll() is None:
            collector.kill(signal.SIGCONT)
            collector.kill()
        collector.process.wait()


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Callable[..., Proxy]]:
    made: list[Proxy] = []

    def make(**options: float) -> Proxy:
        made.append(Proxy(tmp_path / "socket", **options))
        made[-1].client.start()
        return made[-1]

    yield make
    for one in made:
        await one.client.close(0)
