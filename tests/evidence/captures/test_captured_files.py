"""What is captured: exact in the file, unreadable without the identity, bounded, and never half."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import pyrage
import pytest
from warcio.archiveiterator import ArchiveIterator

from outbounds.evidence.captures import sealing
from outbounds.evidence.captures.sealing import Captured, CaptureFull, Message, as_warc, keep

ID = "01a1fe62-9cb7-7fd6-bdae-d16833ccb45f"
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())


def exchange(url: str = "http://www.example.org/a?q=1", body: bytes = b"sent",
             answer: Message | None = None, cut: bool = False) -> Captured:
    return Captured(ID, url, "2026-11-21T12:03:07.000250Z", Message(
        "POST /a?q=1 HTTP/1.1", [(b"Host", b"www.example.org"), (b"Cookie", b"a=\xe9")],
        body, cut), answer)


ANSWER = Message("HTTP/1.1 200 OK", [(b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")],
                 bytes(range(256)), True)


def test_a_reader_that_others_wrote_finds_both_messages() -> None:
    found = [(each.rec_type, each.rec_headers.get_header("WARC-Target-URI"),
              each.rec_headers.get_header("WARC-Date"),
              each.rec_headers.get_header("Outbounds-Record"),
              each.rec_headers.get_header("WARC-Truncated"),
              each.http_headers.statusline, each.content_stream().read())
             for each in ArchiveIterator(BytesIO(as_warc(exchange(answer=ANSWER))))]
    head = ("http://www.example.org/a?q=1", "2026-11-21T12:03:07.000250Z", f"urn:uuid:{ID}")
    assert found == [("request", *head, None, "/a?q=1 HTTP/1.1", b"sent"),
                     ("response", *head, "length", "200 OK", bytes(range(256)))]


def test_a_head_is_there_to_the_octet() -> None:
    assert b"POST /a?q=1 HTTP/1.1\r\nHost: www.example.org\r\nCookie: a=\xe9\r\n\r\nsent" \
        in as_warc(exchange())
    assert as_warc(exchange()).count(b"WARC/1.1\r\n") == 1  # there was no answer


@pytest.mark.parametrize("url", [
    "http://www.example.org/a b", "http://www.example.org/a\r\nWARC-Type: response",
    "http://www.example.org/é", "http://www.example.org/\udcff"])
def test_no_url_ends_its_line(url: str) -> None:
    record, = ArchiveIterator(BytesIO(as_warc(exchange(url))))
    assert record.rec_type == "request"
    assert record.rec_headers.get_header("WARC-Target-URI").isascii()
    assert len(record.rec_headers.headers) == 8


def test_only_the_identity_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "captured"
    digest, octets = keep(folder, exchange(answer=ANSWER), RECIPIENT, 10_000)
    path, = folder.iterdir()
    content = path.read_bytes()
    assert (path.name, digest, octets) == (
        f"{ID}.age", hashlib.sha256(content).hexdigest(), len(content))
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert content.startswith(b"age-encryption.org/v1\n") and b"example" not in content
    assert b"Set-Cookie: b" in pyrage.decrypt(content, [IDENTITY])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(content, [pyrage.x25519.Identity.generate()])


def test_what_is_full_takes_nothing_more(tmp_path: Path) -> None:
    _, octets = keep(tmp_path, exchange(), RECIPIENT, 2_000)
    with pytest.raises(CaptureFull, match=rf"{octets} octets are kept, and {octets + 1} may be"):
        keep(tmp_path, exchange(), RECIPIENT, octets + 1)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_recipient_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="age1nobody: no age recipient"):
        keep(tmp_path, exchange(), "age1nobody", 2_000)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_leaves_nothing(tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sealing.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep(tmp_path, exchange(), RECIPIENT, 2_000)
    assert not list(tmp_path.iterdir())
