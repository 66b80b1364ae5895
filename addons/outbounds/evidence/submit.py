"""What commands and the keeper do to the log is on record in the log, before they do it.

    with recording(directory, socket, key) as recorder:
        with recorder.act("evidence.unmask", operator="kim", case="C-1", scope="…") as act:
            ...                       # nothing is shown or removed before the opening is on disk
            act.count = 3

Without asyncio: these are short programs. Where no collector listens, one is started for as long as
this takes, on the same directory, which a running one would hold the lock of; where neither can be
had, `EvidenceUnavailable` says why and nothing may be done.
"""

from __future__ import annotations

import os
import secrets
import socket as sockets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .decision import closing, opening
from .frame import ACK, HELLO, NACK, PROTOCOL, RECORDS, FrameError, frame, frames
from .identifier import new_id
from .outbox import EvidenceUnavailable
from .record import Encoder
from .supervisor import command

__all__ = ["Act", "EvidenceUnavailable", "Recording", "recording"]

_START = 10.0  # s for a collector of our own to listen


@dataclass(slots=True)
class Act:
    """Something being done. What is set here goes into its closing record."""

    id: str
    count: int = 0
    reason: str = ""
    scope: str = ""
    outcome: str = "success"


class Recording:
    """A connection to the collector at `path`. Raises `EvidenceUnavailable` from everything."""

    def __init__(self, path: Path, key: bytes, timeout: float = 10.0) -> None:
        session = "command-" + secrets.token_hex(8)
        self._encoder = Encoder(session, key)
        self._number = 0
        self._in = bytearray()
        self._socket = sockets.socket(sockets.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise EvidenceUnavailable(f"{path}: {error.strerror or error}") from None
        self._exchange(HELLO, PROTOCOL + session.encode())

    def close(self) -> None:
        self._socket.close()

    def send(self, kind: int, payload: bytes = b"") -> None:
        """One frame, and the wait until it is acknowledged."""
        self._number += 1
        self._exchange(kind, payload)

    @contextmanager
    def act(self, action: str, **known: str | int) -> Iterator[Act]:
        """On record before the block runs and after. `known`: attributes of `Record`, such as
        operator, case, scope. A block that raises is on record as failed."""
        began = time.perf_counter_ns()
        at = time.time_ns()
        record = opening(id=new_id(at), at=at, action=action)
        record.network_transport = ""
        for name, value in known.items():
            setattr(record, name, value)
        self.send(RECORDS, self._encoder.encode(record))
        act = Act(record.id)
        try:
            yield act
        except BaseException as error:
            act.outcome = "failure"
            act.reason = act.reason or f"{type(error).__name__}: {error}"
            raise
        finally:
            end = closing(record, at=time.time_ns(), outcome=act.outcome, reason=act.reason,
                          duration=time.perf_counter_ns() - began)
            end.case, end.count, end.scope = record.case, act.count, act.scope
            self.send(RECORDS, self._encoder.encode(end))

    def _exchange(self, kind: int, payload: bytes) -> None:
        try:
            self._socket.sendall(frame(kind, self._number, payload))
            while True:
                for answer, number, text in list(frames(self._in)):
                    if answer == NACK:
                        raise EvidenceUnavailable(
                            f"the collector refused: {text.decode('utf-8', 'replace')}")
                    if answer == ACK and number == self._number:
                        return
                octets = self._socket.recv(65536)
                if not octets:
                    raise EvidenceUnavailable("the collector closed the connection")
                self._in += octets
        except (OSError, FrameError) as error:
            raise EvidenceUnavailable(f"no word from the collector: {error}") from None


@contextmanager
def recording(directory: Path, path: Path, key: bytes = b"",
              timeout: float = 10.0) -> Iterator[Recording]:
    """A `Recording` with the collector that listens on `path`; where none does, with one of our
    own on `directory` for as long as the block takes. `key` is `privacy.load_key`'s; the records of
    acts hold nothing that is hashed with it, so they do without. Raises `EvidenceUnavailable`."""
    key = key or os.urandom(32)
    try:
        found = Recording(path, key, timeout)
    except EvidenceUnavailable as error:
        with _own_collector(directory, str(error)) as own:
            yield from _closing(Recording(own, key, timeout))
    else:
        yield from _closing(found)


def _closing(found: Recording) -> Iterator[Recording]:
    try:
        yield found
    finally:
        found.close()


@contextmanager
def _own_collector(directory: Path, why: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="outbounds-") as folder:
        path = Path(folder) / "collector.sock"
        words, environment = command(directory, path)
        process = subprocess.Popen([*words, "--wait", "0"], env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + _START
            while not path.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    said = process.communicate()[1].strip()
                    raise EvidenceUnavailable(
                        f"no collector answers ({why}), and none could be started: "
                        f"{said or 'it did not listen in time'}")
                time.sleep(0.02)
            yield path
        finally:
            process.terminate()
            process.wait(_START)
            assert process.stderr is not None
            process.stderr.close()


def operator() -> str:
    """Who runs this command, for the record: the login name, before sudo if there was one."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or f"uid {os.getuid()}"
