"""The control socket: an operator's questions to the running proxy, and its answers.

A Unix socket for each worker, in a folder that only the proxy's user and root can enter. One JSON
object on a line comes in, one goes out, and the connection ends: `{"command": "limits-top"}` and
`{"ok": true, "result": …}` or `{"ok": false, "error": "…"}`. Requests are bounded in size, number
and time, and whatever goes wrong here is an error for whoever asked: traffic knows nothing of it.

Who asks is the kernel's word (SO_PEERCRED, unix(7)), for the record of what they have done.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pwd
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..evidence.listener import SocketTaken, listen
from ..evidence.peer import peer_identity

logger = logging.getLogger("outbounds")

MAX_LINE = 65536  # bytes of a request
MAX_AT_ONCE = 8  # connections
TIMEOUT = 5.0  # seconds, for each of reading, answering and writing
PATH_BYTES = 107 - len(".new")  # sun_path of unix(7); the socket is made under a draft's name

Handler = Callable[[dict[str, Any]], Awaitable[object]]
"""Gets the request, with the user who asks as `by`; returns what msgspec can encode. Raises
`Refused` for what the asker should mend."""


class ControlError(Exception):
    """The socket cannot be opened. The message names it and the fix."""


class Refused(Exception):
    """The request cannot be answered; the message says why."""


def control_folder(data: Path) -> Path:
    """`data` is the folder of the run data (`settings.service.data`)."""
    return data / "control"


def control_path(data: Path, worker: int = 0) -> Path:
    return control_folder(data) / f"{worker}.sock"


class ControlSocket:
    """`on_fault` is told of an exception of a handler's own."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler],
                 on_fault: Callable[[str, Exception], None] = lambda place, fault: None) -> None:
        self._path = path
        self._handlers = handlers
        self._on_fault = on_fault
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises ControlError."""
        size = len(str(self._path).encode())
        if size > PATH_BYTES:
            raise ControlError(f"{self._path}: a socket's path may have {PATH_BYTES} bytes here "
                               f"and this one has {size}; set a shorter `data` in outbounds.yaml")
        try:
            folder = self._path.parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)  # whoever made it: what is in it lets limits be reset
            listener = listen(self._path, open_to_others=False)
            self._inode = self._path.stat().st_ino
            self._server = await asyncio.start_unix_server(
                self._connected, sock=listener, limit=MAX_LINE)
        except SocketTaken:
            raise ControlError(f"{self._path}: another proxy answers here; give this one a `data` "
                               "folder of its own in outbounds.yaml") from None
        except OSError as error:
            raise ControlError(f"{self._path}: {error.strerror or error}; the proxy's user must "
                               "be able to write there") from error

    async def aclose(self) -> None:
        """Idempotent. What is being answered is broken off."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._answering:
            task.cancel()
        try:
            # not one that another process has put there since
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass  # gone already: the next start clears up

    # --- one connection -------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader,
                         writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            answer = await self._answer(reader, writer.get_extra_info("socket"))
            async with asyncio.timeout(TIMEOUT):
                writer.write(answer)
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # who asked is gone, or does not read
        finally:
            self._answering.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, peer: socket.socket) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT):
                line = await reader.readline()
            request = json.loads(line)
        except TimeoutError:
            return failure(f"no request came within {TIMEOUT:g} s")
        except ValueError:  # asyncio's own for a line that is too long, too
            return failure(f"not one JSON object on a line of at most {MAX_LINE} bytes")
        if not isinstance(request, dict) or not isinstance(request.get("command"), str):
            return failure('not a request; send an object such as {"command": "limits-top"}')
        if len(self._answering) > MAX_AT_ONCE:
            return failure("too many questions at once; ask again")
        handler = self._handlers.get(request["command"])
        if handler is None:
            return failure(f"there is no command {request['command'][:64]!r}; there are: "
                           f"{', '.join(sorted(self._handlers))}")
        try:
            async with asyncio.timeout(TIMEOUT):
                result = await handler({**request, "by": user_of(peer)})
            return msgspec.json.encode({"ok": True, "result": result}) + b"\n"
        except Refused as error:
            return failure(str(error))
        except TimeoutError:
            return failure(f"no answer within {TIMEOUT:g} s")
        except Exception as fault:
            self._on_fault("control", fault)
            return failure("a fault of the proxy's; its log has more")


def failure(why: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": why}) + b"\n"


def user_of(peer: socket.socket) -> str:
    """The name of the user at the other end, or its number where it has none."""
    _, uid = peer_identity(peer)
    return user_name(uid)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
