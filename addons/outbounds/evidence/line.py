"""How a record lies in the log: its envelope, a tab and its detail if it has one, a newline.

Neither JSON text can hold a raw tab or newline, so the two are found without parsing, and tools
that read JSON values one after the other (`jq`) read a line as two of them. The envelope's bytes
are the log's leaf (`tlog`); the detail's bytes are what the envelope has the SHA-256 of.

Where a record was removed, by retention or erasure, a placeholder with the leaf's hash stands in
its place, so that the log can still be verified:

    {"outbounds.erased":"<leaf hash in hex>"}

It cannot be taken for a record, nor a record for it: a record begins with its "@timestamp".
"""

from __future__ import annotations

from typing import Any

import msgspec

from .tlog.merkle import HASH_SIZE, leaf_hash

_ERASED = b'{"outbounds.erased":"'
_END = b'"}'
_ERASED_SIZE = len(_ERASED) + 2 * HASH_SIZE + len(_END)

_decode = msgspec.json.Decoder(dict[str, str | int]).decode


def split(line: bytes) -> tuple[bytes, bytes]:
    """(envelope, detail) of a line, with or without its newline; the detail b"" if there is none,
    or it was erased."""
    envelope, _, detail = line.removesuffix(b"\n").partition(b"\t")
    return envelope, detail


def is_erased(envelope: bytes) -> bool:
    return envelope.startswith(_ERASED)


def placeholder(envelope: bytes) -> bytes:
    """What stands for `envelope` once it is erased."""
    return envelope if is_erased(envelope) else _ERASED + leaf_of(envelope).hex().encode() + _END


def leaf_of(envelope: bytes) -> bytes:
    """The leaf's hash (32 bytes). Raises ValueError for a placeholder that is damaged."""
    if not envelope.startswith(_ERASED):
        return leaf_hash(envelope)
    if len(envelope) != _ERASED_SIZE or not envelope.endswith(_END):
        raise ValueError("a placeholder for an erased record is damaged")
    return bytes.fromhex(envelope[len(_ERASED):-len(_END)].decode("ascii", "replace"))


def fields(envelope: bytes, detail: bytes = b"") -> dict[str, Any]:
    """A record as one flat dictionary, name in the log to value; the detail's salt is left out.
    Raises msgspec.MsgspecError for what is no record."""
    found: dict[str, Any] = _decode(envelope)
    if detail:
        more = _decode(detail)
        more.pop("salt", None)
        found |= more
    return found


def flat(line: bytes) -> dict[str, Any]:
    """`fields` of a whole line."""
    return fields(*split(line))
