"""What the proxy and the collector say to each other over their Unix socket.

Every frame is a header and a payload:

    u32  length of the payload, big endian
    u64  number of the batch
    u8   kind

    kind      from        payload               number
    HELLO     client      protocol and session  0
    RECORDS   client      whole JSON lines      counts up from 1 on each connection
    RETRY     client      as RECORDS            as RECORDS
    ACK       collector   empty                 all batches up to it are on disk; 0 answers HELLO
    NACK      collector   the reason            batches up to it that have no ACK are not
    ROLL      client      empty                 as RECORDS; acknowledged when a segment has begun
    ROTATE    client      empty                 as RECORDS; acknowledged when a new key signs
    STATE     collector   JSON (`state`)        0; after a HELLO, on change and every second

After a NACK the collector refuses everything on that connection until a RETRY: otherwise a closing
could overtake the opening that was refused, and the order of the log would lie.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("!IQB")
HELLO, RECORDS, RETRY, ACK, NACK, ROLL, ROTATE = 1, 2, 3, 4, 5, 6, 7
STATE = 8
PROTOCOL = b"outbounds-evidence/1 "
MAX_PAYLOAD = 4 * 1024 * 1024


class FrameError(ValueError):
    """The peer does not speak this protocol; the connection cannot be used further."""


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(len(payload), number, kind) + payload


def frames(buffer: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Take every whole frame off the front of `buffer`: (kind, number, payload).

    Raises `FrameError` for an unknown kind or a payload above `MAX_PAYLOAD`.
    """
    position = 0
    try:
        while len(buffer) - position >= HEADER.size:
            length, number, kind = HEADER.unpack_from(buffer, position)
            if length > MAX_PAYLOAD or not HELLO <= kind <= STATE:
                raise FrameError(f"frame of kind {kind} and {length} bytes")
            end = position + HEADER.size + length
            if end > len(buffer):
                break
            yield kind, number, bytes(memoryview(buffer)[position + HEADER.size:end])
            position = end
    finally:
        del buffer[:position]
