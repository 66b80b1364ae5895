"""Bodies within bounds: what is kept, what is refused."""

from __future__ import annotations

import gzip
import zlib

import pytest

from outbounds.robotstxt.body import ENOUGH, Body, UnreadableBody

TEXT = b"user-agent: *\ndisallow: /x\n" * 50


def read(raw: bytes, coding: str, step: int = 7) -> bytes:
    body = Body(coding)
    for at in range(0, len(raw), step):
        body.feed(raw[at : at + step])
        if body.full:
            break
    return body.finish()


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize(("coding", "raw"), [
    ("", TEXT), ("identity", TEXT), ("gzip", gzip.compress(TEXT, mtime=0)),
    (" X-GZIP ", gzip.compress(TEXT, mtime=0)), ("deflate", zlib.compress(TEXT)),
    ("gzip", gzip.compress(TEXT[:27], mtime=0) + gzip.compress(TEXT[27:], mtime=0)),
])
def test_reads(coding: str, raw: bytes, step: int) -> None:
    assert read(raw, coding, step) == TEXT


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_nothing_is_an_empty_file(coding: str) -> None:
    assert read(b"", coding) == b""


@pytest.mark.parametrize(("why", "coding", "raw"), [
    ("not asked for", "compress", b"x"), ("not asked for", "gzip, gzip", b"x"),
    ("broken", "gzip", TEXT), ("broken", "gzip", gzip.compress(TEXT, mtime=0) + b"rubbish"),
    ("broken", "deflate", zlib.compress(TEXT)[:-1] + b"?"),
    ("ends too early", "gzip", gzip.compress(TEXT, mtime=0)[:-9]),
])
def test_refuses(why: str, coding: str, raw: bytes) -> None:
    with pytest.raises(UnreadableBody, match=why):
        read(raw, coding)


def test_a_bomb_is_cut_at_the_limit() -> None:
    bomb = gzip.compress(b"#" * (64 << 20), 9)
    body = Body("gzip")
    body.feed(bomb)
    assert body.full
    assert len(body.finish()) == ENOUGH


def test_an_endless_empty_stream_is_refused() -> None:
    body = Body("gzip")
    nothing = zlib.compressobj(wbits=31)
    body.feed(nothing.compress(b"") + nothing.flush(zlib.Z_SYNC_FLUSH))
    with pytest.raises(UnreadableBody, match="larger than what it holds"):
        for _ in range(2000):
            body.feed(nothing.flush(zlib.Z_FULL_FLUSH) or b"\x00\x00\x00\xff\xff" * 200)


def test_plain_octets_beyond_the_limit_are_not_kept() -> None:
    body = Body("")
    body.feed(b"#" * (3 * ENOUGH))
    assert body.full
    assert len(body.finish()) == ENOUGH
