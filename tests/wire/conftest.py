"""Fixtures: an origin of each kind, and a proxy in each of the two ways it is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Proxy, free_port, make_config
from .origin import Origin, authority


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(free_port()) as running:
        yield running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    return authority(tmp_path_factory.mktemp("ca"), "localhost", "site.test", "other.test",
                     "127.0.0.1")


@pytest.fixture
def tls_origin(certificates: tuple[Path, object]) -> Iterator[Origin]:
    with Origin(free_port(), tls=certificates[1]) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def trust(certificates: tuple[Path, object]) -> dict[str, str]:
    """mitmproxy options that make the proxy trust the test origins."""
    return {"ssl_verify_upstream_trusted_ca": str(certificates[0])}


@pytest.fixture(params=["mitmdump", "serve"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(tmp_path: Path, origin: Origin, tls_origin: Origin) -> Path:
    return make_config(tmp_path / "config", [origin.port, tls_origin.port])


@pytest.fixture
def proxy(config: Path, trust: dict[str, str]) -> Iterator[Proxy]:
    """The proxy as `outbounds serve` runs it."""
    names = {"site.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}
    with Proxy(config, names=names, options=trust) as running:
        yield running
