"""One process of `reppy_worker`: started, asked, and killed when it does not answer.

What comes back is read as from a stranger: it is as long as an answer can be and says what an
answer can say, or the process is killed. A process that failed once is not asked again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from . import reppy_worker
from .reppy_worker import HEAD, Ask, Fault, Ready, Reply, Unknown, Verdicts

# -P: a file beside the worker must not stand in for a module
COMMAND = (sys.executable, "-P", str(Path(reppy_worker.__file__).resolve()))

# Where packages and the interpreter's own library are found, if not in their usual places.
_INHERITED = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")

START_WITHIN = 10.0
"""Seconds until a process says that it is ready; about 0.3 are usual."""

JUDGE_WITHIN = 0.25
"""Seconds for a judgement; about 0.0001 are usual."""

READ_WITHIN = 0.75
"""Seconds for reading a file, before the first judgement by it; 500 KiB take about 0.05."""

_LONGEST_REPLY = 4096
_KNOWN = 4096  # files that it is not sent twice, if it has not forgotten them


class WorkerDied(Exception):
    """The process ended, or was killed because it did not answer as it should."""


class CannotRead(Exception):
    """reppy raised an exception over this file or URL. The process lives."""


def unusable(command: Sequence[str] = COMMAND) -> str:
    """Why reppy cannot be the engine here, or "": starts a process and lets it judge one file.

    Blocks for up to START_WITHIN seconds. Loads nothing of reppy into this process.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=_environment(), cwd="/",
                              timeout=START_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    try:
        reply = _decoder.decode(done.stdout[HEAD.size:])
    except msgspec.DecodeError:
        return f"its process ended with status {done.returncode}"
    return "" if isinstance(reply, Ready) else getattr(reply, "what", "it says something else")


class ReppyProcess:
    """`deadline` is in seconds, for one judgement."""

    def __init__(self, command: Sequence[str] = COMMAND, deadline: float = JUDGE_WITHIN) -> None:
        self._command = command
        self._deadline = deadline
        self._known: set[str] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._busy = False
        self.answered = 0
        self.dead = False

    @property
    def pid(self) -> int:
        """0 before it is started."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Until it is ready. Raises WorkerDied."""
        self._busy = True
        try:
            with self._theirs as theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=theirs.fileno(), stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL, env=_environment(), cwd="/",
                    start_new_session=True)  # Ctrl-C is for the proxy, which then closes this
            async with asyncio.timeout(START_WITHIN):
                reply = await self._reply()
            if not isinstance(reply, Ready):
                raise WorkerDied(getattr(reply, "what", f"it began with {reply}"))
        except (OSError, TimeoutError, WorkerDied) as error:
            self.kill()
            raise WorkerDied(f"reppy's process did not start: {error or 'too late'}") from None
        except BaseException:
            self.kill()
            raise
        finally:
            self._rest()

    def sound(self) -> bool:
        """Whether it waits for a question: it neither ended nor said anything unasked."""
        if self.dead:
            return False
        try:
            self._ours.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    async def ask(self, digest: str, body: bytes, agents: tuple[str, ...],
                  urls: tuple[bytes, ...]) -> tuple[bool, ...]:
        """One verdict for each agent, up to and with the first refusal.

        Raises CannotRead; WorkerDied, and then the process is dead. So it is if this is cancelled.
        One question at a time.
        """
        self._busy = True
        try:
            reply: Reply = Unknown()
            if digest in self._known:
                reply = await self._exchange(Ask(digest, agents, urls, None), self._deadline)
            if isinstance(reply, Unknown):
                reply = await self._exchange(Ask(digest, (), (), body), READ_WITHIN)
                if isinstance(reply, Verdicts):
                    reply = await self._exchange(Ask(digest, agents, urls, None), self._deadline)
            if isinstance(reply, Fault):
                raise CannotRead(reply.what)
            if not isinstance(reply, Verdicts) or not _complete(reply.allowed, len(agents)):
                raise WorkerDied(f"reppy's process answered with {reply}")
        except TimeoutError:
            self.kill()
            raise WorkerDied("reppy did not judge in time") from None
        except CannotRead:
            raise
        except BaseException:
            self.kill()
            raise
        finally:
            self._rest()
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known.add(digest)
        self.answered += 1
        return reply.allowed

    def kill(self) -> None:
        """At once and for good; `ended` tells when it is gone."""
        self.dead = True
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        if not self._busy:
            self._ours.close()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _rest(self) -> None:
        # not in `kill`: the loop would never wake up whoever still reads from it
        self._busy = False
        if self.dead:
            self._ours.close()

    async def ended(self) -> int:
        """Its exit status, once it is gone; negative for the signal that ended it."""
        assert self._process is not None
        return await self._process.wait()

    async def _exchange(self, message: Ask, seconds: float) -> Reply:
        octets = msgspec.msgpack.encode(message)
        async with asyncio.timeout(seconds):
            try:
                await asyncio.get_running_loop().sock_sendall(
                    self._ours, HEAD.pack(len(octets)) + octets)
            except OSError as error:
                raise WorkerDied(f"reppy's process is gone: {error}") from None
            return await self._reply()

    async def _reply(self) -> Reply:
        (size,) = HEAD.unpack(await self._read(HEAD.size))
        if size > _LONGEST_REPLY:
            raise WorkerDied(f"reppy's process answers with {size} octets")
        try:
            return _decoder.decode(await self._read(size))
        except msgspec.DecodeError as error:
            raise WorkerDied(f"reppy's process answers what cannot be read: {error}") from None

    async def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            try:
                chunk = await asyncio.get_running_loop().sock_recv(self._ours, size - len(found))
            except OSError as error:
                raise WorkerDied(f"reppy's process is gone: {error}") from None
            if not chunk:
                raise WorkerDied("reppy's process ended")
            found += chunk
        return found


_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def _complete(allowed: tuple[bool, ...], agents: int) -> bool:
    """Whether all were judged, or all up to the one refusal."""
    return 0 < len(allowed) <= agents and all(allowed[:-1]) \
        and (len(allowed) == agents or not allowed[-1])


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}
