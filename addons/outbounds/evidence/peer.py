"""The collector's end of one client connection: bytes in, frames out, nothing of the log."""

from __future__ import annotations

import socket
import struct

from .frame import FrameError, frame, frames

_MOST_UNREAD = 65536
_READ = 256 * 1024
_MOST_PER_TURN = 4 * 1024 * 1024


def peer_identity(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, from the kernel (SO_PEERCRED, unix(7))."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid


class Peer:
    """One client. `session` is "" until its HELLO; `refused` from a NACK to the next RETRY;
    `trusted` where it is root's or our own user's."""

    def __init__(self, connection: socket.socket, pid: int, trusted: bool = True) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.pid = pid
        self.trusted = trusted
        self.session = ""
        self.refused = ""
        self._in = bytearray()
        self._out = bytearray()

    def __str__(self) -> str:
        return f"client {self.pid} (session {self.session or 'unknown'})"

    def receive(self) -> tuple[list[tuple[int, int, bytes]], bool]:
        """All whole frames that have arrived, and whether the peer is gone.

        Bounded per call, so that one busy client cannot keep the others from their turn. Raises
        `FrameError`.
        """
        gone = False
        taken = 0
        while taken < _MOST_PER_TURN:
            try:
                data = self.connection.recv(_READ)
            except BlockingIOError:
                break
            except OSError:
                gone = True
                break
            if not data:
                gone = True
                break
            self._in += data
            taken += len(data)
        return list(frames(self._in)), gone

    def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        """Queue a frame and send what the socket takes. Raises `FrameError` for a client that
        lets its answers pile up."""
        if len(self._out) > _MOST_UNREAD:
            raise FrameError("does not read its acknowledgements")
        self._out += frame(kind, number, payload)
        self.flush()

    def flush(self) -> None:
        try:
            while self._out:
                del self._out[:self.connection.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()  # gone: the next receive() says so

    @property
    def pending(self) -> bool:
        """Whether frames wait for the socket to take them."""
        return bool(self._out)
