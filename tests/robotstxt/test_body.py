"""Bodies within bounds: what is kept, what is refused."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from outbounds.robotstxt.body import ENOUGH, Body, UnreadableBody

TEXT = b"user-agent: *\ndisallow: /x\n" * 50
ZEROS = bytes(10 << 20)


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zs(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gz, "deflate": zlib.compress, "br": brotli.compress, "zstd": zs,
}
# RFC 8878 section 3.1.2: a frame that says nothing
SKIPPED = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def read(raw: bytes, coding: str, step: int = 7) -> bytes:
    body = Body(coding)
    for at in range(0, len(raw), step):
        body.feed(raw[at : at + step])
        if body.full:
            break
    return body.finish()


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize(("coding", "raw"), [
    ("", TEXT), ("identity", TEXT), *((name, make(TEXT)) for name, make in CODINGS.items()),
    (" X-GZIP ", gz(TEXT)), ("BR", brotli.compress(TEXT)),
    ("gzip", gz(TEXT[:27]) + gz(TEXT[27:])), ("gzip", gz(b"") * 40 + gz(TEXT)),
    ("zstd", zs(TEXT[:27]) + SKIPPED + zs(TEXT[27:])), ("zstd", zs(b"") * 40 + zs(TEXT)),
])
def test_reads(coding: str, raw: bytes, step: int) -> None:
    assert read(raw, coding, step) == TEXT


@pytest.mark.parametrize("coding", ["", *CODINGS])
def test_nothing_is_an_empty_file(coding: str) -> None:
    assert read(b"", coding) == b""


@pytest.mark.parametrize(("why", "coding", "raw"), [
    ("not asked for", "compress", b"x"), ("not asked for", "gzip, gzip", gz(gz(TEXT))),
    *(("broken", name, TEXT) for name in CODINGS),
    *(("ends too early", name, make(TEXT)[:-3]) for name, make in CODINGS.items()),
    *(("broken", name, CODINGS[name](TEXT) + b"rubbish") for name in ("gzip", "br", "zstd")),
    ("broken", "deflate", zlib.compress(TEXT)[:-1] + b"?"),
    ("ends too early", "gzip", gz(TEXT) + gz(TEXT)[:9]),
    ("ends too early", "zstd", zs(TEXT) + zs(TEXT)[:9]),
    # 16 MiB of window, of which a receiver need give no more than 8 (RFC 9659)
    ("broken", "zstd", zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=24)).compress(ZEROS * 2)),
])
def test_refuses(why: str, coding: str, raw: bytes) -> None:
    with pytest.raises(UnreadableBody, match=why):
        read(raw, coding)


@pytest.mark.parametrize("step", [1 << 16, 1 << 30])
@pytest.mark.parametrize("name", CODINGS)
def test_a_bomb_is_cut_at_the_limit(name: str, step: int) -> None:
    body, bomb = Body(name), CODINGS[name](ZEROS)
    tracemalloc.start()
    try:
        for at in range(0, len(bomb), step):
            body.feed(bomb[at : at + step])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert body.full
    assert len(body.finish()) == ENOUGH
    assert most < 4 << 20, "no more is inflated than is kept, and a piece"


def empty_gzip() -> Iterator[bytes]:
    nothing = zlib.compressobj(wbits=31)
    yield nothing.compress(b"") + nothing.flush(zlib.Z_SYNC_FLUSH)
    while True:
        yield b"\x00\x00\x00\xff\xff" * 200


def empty_members() -> Iterator[bytes]:
    while True:
        yield gz(b"") * 50


def empty_frames() -> Iterator[bytes]:
    while True:
        yield zs(b"") * 100 + SKIPPED


def empty_brotli() -> Iterator[bytes]:
    """Metadata blocks of no octets (RFC 7932 section 9.2), after a window of 64 KiB."""
    yield b"\x0c"
    while True:
        yield b"\x06" * 1000


@pytest.mark.parametrize(("coding", "stream"), [
    ("gzip", empty_gzip), ("gzip", empty_members), ("zstd", empty_frames), ("br", empty_brotli),
])
def test_an_endless_empty_stream_is_refused(
    coding: str, stream: Callable[[], Iterator[bytes]]
) -> None:
    body = Body(coding)
    with pytest.raises(UnreadableBody, match="larger than what it holds"):
        for chunk in stream():
            body.feed(chunk)
            assert body.received < 2 * ENOUGH


def test_plain_octets_beyond_the_limit_are_not_kept() -> None:
    body = Body("")
    body.feed(b"#" * (3 * ENOUGH))
    assert body.full
    assert len(body.finish()) == ENOUGH
