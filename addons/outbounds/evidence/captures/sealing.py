"""One captured exchange: a WARC 1.1 file, encrypted with age before any of it touches the disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from ..directory import fsync_directory

_IN_A_URI = "%:/?#[]@!$&'()*+,;=~"  # RFC 3986 section 2: these are there for a reason

Fields = Sequence[tuple[bytes, bytes]]


class CaptureFull(Exception):
    """The order's `most` octets are used up. The message says so."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or response: its first line, its fields in order, and what was kept of its body;
    `cut` where that is not all."""

    line: str
    fields: Fields
    body: bytes
    cut: bool


@dataclass(frozen=True, slots=True)
class Captured:
    """One exchange. `record` is its `event.id`, `at` its opening's timestamp (RFC 3339)."""

    record: str
    url: str
    at: str
    request: Message
    response: Message | None


def as_warc(exchange: Captured) -> bytes:
    """WARC 1.1 (ISO 28500:2017): a request record and, where there was an answer, its response,
    each with the octets of its head as they were."""
    return b"".join(_record(exchange, kind, message) for kind, message in (
        ("request", exchange.request), ("response", exchange.response)) if message is not None)


def _record(exchange: Captured, kind: str, message: Message) -> bytes:
    head = b"".join(b"%b: %b\r\n" % field for field in message.fields)
    block = b"%b\r\n%b\r\n%b" % (message.line.encode("utf-8", "surrogateescape"), head,
                                  message.body)
    named = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{uuid4()}>",
        "WARC-Date": exchange.at,
        "WARC-Target-URI": quote(exchange.url, safe=_IN_A_URI, errors="surrogateescape"),
        "WARC-Block-Digest": f"sha256:{sha256(block).hexdigest()}",
        "Outbounds-Record": f"urn:uuid:{exchange.record}",
        "Content-Type": f"application/http;msgtype={kind}",
        "Content-Length": str(len(block)),
    }
    if message.cut:
        named["WARC-Truncated"] = "length"  # section 5.13
    fields = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return b"WARC/1.1\r\n%b\r\n%b\r\n\r\n" % (fields.encode("ascii"), block)


def keep(folder: Path, exchange: Captured, recipient: str, most: int) -> tuple[str, int]:
    """Encrypt `exchange` to `recipient` and keep it under `folder`, where there may be `most`
    octets: (SHA-256 of the file in hex, its octets). Raises CaptureFull, OSError, ValueError for a
    recipient that is none."""
    import pyrage  # type: ignore[import-untyped]

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        octets = pyrage.encrypt(as_warc(exchange), [pyrage.x25519.Recipient.from_str(recipient)])
    except pyrage.RecipientError as error:
        raise ValueError(f"{recipient}: no age recipient: {error}") from None
    held = sum(entry.stat().st_size for entry in os.scandir(folder))
    if held + len(octets) > most:
        raise CaptureFull(f"{folder}: {held} octets are kept, and {most} may be; nothing more is")
    path = folder / f"{exchange.record}.age"
    draft = path.with_suffix(".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(fd)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    fsync_directory(folder)
    return sha256(octets).hexdigest(), len(octets)
