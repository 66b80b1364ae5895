"""The collector's turns: everything that all clients have sent is taken, written, acknowledged.

What each step leaves behind when it is the last is said in `collector`.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from .frame import ACK, HELLO, NACK, PROTOCOL, RETRY, ROLL, ROTATE, STATE, FrameError
from .identifier import is_session
from .keeper.spawn import KeeperSpawner
from .ledger import InvalidLine, Slip, slip
from .log import EvidenceLog, say
from .peer import Peer, peer_identity
from .segment import AppendError
from .state import LOOK, Watch

Group = list[tuple[Peer, int, list[tuple[Slip, bytes]]]]  # (from whom, batch number, its lines)

ASKED: dict[int, Callable[[EvidenceLog], None]] = {ROLL: EvidenceLog.roll,
                                                   ROTATE: EvidenceLog.rotate}
"""What a command may ask for besides taking records; each raises AppendError or OSError."""


class Collector:
    """`parent` is a descriptor whose end of file means that the parent is gone, or None."""

    def __init__(self, evidence: EvidenceLog, listener: socket.socket, *,
                 allowed: frozenset[int], grace: float, parent: int | None,
                 watch: Watch, keeper: KeeperSpawner) -> None:
        self._log = evidence
        self._segment = evidence.segment
        self._keeper = keeper
        self._asked: list[tuple[Peer, int, int]] = []  # in this turn: who, what, its number
        self._watch = watch
        self._listener: socket.socket | None = listener
        self._allowed = allowed
        self._parent = parent
        self._peers: set[Peer] = set()
        self._stopping = False
        # sessions whose maker is gone, and when (monotonic s) to close what they left open
        self._leaving = dict.fromkeys(evidence.sessions(), time.monotonic() + grace)
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        if parent is not None:
            self._selector.register(parent, selectors.EVENT_READ)

    def stop(self, *_: object) -> None:
        """Finish the turn under way, take what has already been sent, then return from `run`."""
        self._stopping = True

    def run(self) -> None:
        wake, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())  # without it a SIGTERM waits for the next frame
        self._selector.register(wake, selectors.EVENT_READ)
        while not self._stopping and not self._abandoned():
            self._turn(self._timeout())
        self._turn(0)

    def _abandoned(self) -> bool:
        return self._listener is None and not self._peers and not self._leaving

    def _timeout(self) -> float:
        wait = min(self._log.wait(), self._keeper.wait())
        if self._leaving:
            wait = min(wait, min(self._leaving.values()) - time.monotonic())
        if self._watch.full:
            wait = min(wait, LOOK)
        return max(0.0, wait)

    # --- one turn ---------------------------------------------------------------------------

    def _turn(self, timeout: float | None) -> None:
        group: Group = []
        gone: list[Peer] = []
        for key, events in self._selector.select(timeout):
            peer = key.data
            if key.fileobj is self._listener:
                self._accept()
            elif key.fd == self._parent:
                self._lose_parent()
            elif isinstance(peer, Peer):
                if events & selectors.EVENT_WRITE:
                    peer.flush()
                if events & selectors.EVENT_READ:
                    self._receive(peer, group, gone)
        if group:
            self._commit(group)
        for peer, kind, number in self._asked:
            self._do(peer, kind, number)
        self._asked.clear()
        for peer in gone:
            self._drop(peer)
        for peer in self._peers:
            self._selector.modify(peer.connection, selectors.EVENT_READ | (
                selectors.EVENT_WRITE if peer.pending else 0), peer)
        now = time.monotonic()
        for session in [s for s, due in self._leaving.items() if due <= now]:
            self._close_orphans(session)
        if self._log.wait() <= 0:
            self._log.checkpoint()
        self._tell(now)
        if self._log.segment > self._segment:
            self._segment = self._log.segment
            self._keeper.left()
        self._keeper.turn()

    def _tell(self, now: float) -> None:
        """Say what state the log is in, if there is news of it."""
        if turned := self._watch.look(now):
            say(f"{self._watch.full}: nothing new is let through" if self._watch.full
                else f"{self._watch.free} bytes are free again")
        if turned or (self._peers and self._watch.due(now)):
            payload = self._state(now)
            for peer in self._peers:
                if peer.session and not peer.pending:  # one that does not read gets the next one
                    self._answer(peer, STATE, 0, payload)

    def _state(self, now: float) -> bytes:
        growth = self._log.growth
        return self._watch.payload(growth.peaks.size, growth.signed, now, growth.signed_at)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it gave up before its turn came
        pid, uid = peer_identity(connection)
        if uid not in self._allowed:
            say(f"refused process {pid} of user {uid}: not allowed (see --allow-uid)")
            connection.close()
            return
        peer = Peer(connection, pid, uid in (0, os.geteuid()))
        self._peers.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _lose_parent(self) -> None:
        assert self._parent is not None
        if os.read(self._parent, 64):
            return
        self._selector.unregister(self._parent)
        if self._listener is not None:
            # no new clients: a proxy that starts now must get a collector of its own
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        present = {peer.session for peer in self._peers}
        self._leaving.update(dict.fromkeys(self._leaving.keys() - present, 0.0))

    def _receive(self, peer: Peer, group: Group, gone: list[Peer]) -> None:
        try:
            arrived, left = peer.receive()
            for kind, number, payload in arrived:
                if kind == HELLO:
                    self._greet(peer, payload)
                    continue
                if kind in (ACK, NACK, STATE) or not peer.session:
                    raise FrameError(f"frame of kind {kind} is out of place")
                if kind == RETRY:
                    peer.refused = ""
                if peer.refused:
                    peer.send(NACK, number, peer.refused.encode())
                elif kind in ASKED:
                    self._asked.append((peer, kind, number))
                else:
                    group.append((peer, number, named(payload)))
        except (FrameError, InvalidLine) as error:
            say(f"{peer}: {error}; dropped")
            left = True
        if left:
            gone.append(peer)

    def _greet(self, peer: Peer, payload: bytes) -> None:
        session = payload[len(PROTOCOL):].decode("ascii", "replace")
        if not payload.startswith(PROTOCOL) or not is_session(session):
            raise FrameError(f"does not speak {PROTOCOL.decode().strip()}")
        peer.session = session
        self._leaving.pop(peer.session, None)
        peer.send(ACK, 0)
        peer.send(STATE, 0, self._state(time.monotonic()))

    def _drop(self, peer: Peer) -> None:
        self._selector.unregister(peer.connection)
        peer.connection.close()
        self._peers.discard(peer)
        if peer.session and all(other.session != peer.session for other in self._peers):
            self._leaving[peer.session] = 0.0

    def _commit(self, group: Group) -> None:
        """Put every line of `group` on disk and acknowledge, or none and say why."""
        try:
            self._log.append([line for _, _, lines in group for line in lines])
        except AppendError as error:
            for peer, number, _ in group:
                peer.refused = str(error)
                self._answer(peer, NACK, number, peer.refused.encode())
            return
        for peer, number in {peer: number for peer, number, _ in group}.items():
            self._answer(peer, ACK, number)

    def _do(self, peer: Peer, kind: int, number: int) -> None:
        """What was asked, after what was sent before it is on disk."""
        why = peer.refused
        if not peer.trusted:  # a proxy that is broken into could wear out keys and segments
            why = why or "only root and the collector's own user may ask for this"
        if not why:
            try:
                ASKED[kind](self._log)
            except (AppendError, OSError) as error:
                why = str(error)
        self._answer(peer, NACK if why else ACK, number, why.encode())

    def _answer(self, peer: Peer, kind: int, number: int, payload: bytes = b"") -> None:
        try:
            peer.send(kind, number, payload)
        except FrameError as error:
            say(f"{peer}: {error}; dropped")
            with suppress(OSError):
                peer.connection.shutdown(socket.SHUT_RDWR)  # read as its end in the next turn

    def _close_orphans(self, session: str) -> None:
        try:
            closed = self._log.close_orphans(session)
        except AppendError:
            if self._listener is not None:
                self._leaving[session] = time.monotonic() + 1.0
                return
            # alone and unable to write: holding the directory helps nobody, the next start will
            closed = 0
        if closed:
            say(f"session {session} is gone: {closed} open records closed as unknown")
        del self._leaving[session]


def named(payload: bytes) -> list[tuple[Slip, bytes]]:
    """The lines of a frame, each with its name. Raises `FrameError`, `InvalidLine`."""
    if not payload.endswith(b"\n") or b"\r" in payload:
        raise FrameError("not whole lines")
    return [(slip(line), line) for line in payload.splitlines(keepends=True)]
