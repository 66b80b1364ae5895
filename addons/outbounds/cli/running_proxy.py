"""Asking the proxy that runs: the control sockets of all its workers."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import click

from ..proxy.control_socket import PATH_BYTES, control_folder

TIMEOUT = 8.0  # seconds; a worker answers within five, if only that it cannot
MAX_ANSWER = 16 * 1024 * 1024  # bytes


class NoAnswer(Exception):
    """A worker did not answer. The message says which and why."""


class Unanswerable(Exception):
    """A worker answered that the question is wrong."""


class RunningProxy:
    """`data` is the folder of the run data. A socket that a killed worker left counts as none."""

    def __init__(self, data: Path) -> None:
        self._folder = control_folder(data)

    def ask_all(self, command: str, **fields: Any) -> list[dict[str, Any]]:
        """The answers of all workers, in order of their numbers; empty when no proxy runs. Ends
        the command with a message when a worker runs and does not answer, or refuses."""
        found = []
        for path in self._sockets():
            answer = self._ask(path, {"command": command, **fields})
            if answer is not None:
                found.append(answer)
        return found

    def ask_one(self, command: str, **fields: Any) -> dict[str, Any] | None:
        """The answer of the first worker there is: where the state is shared, each has it all."""
        for path in self._sockets():
            answer = self._ask(path, {"command": command, **fields})
            if answer is not None:
                return answer
        return None

    def _sockets(self) -> list[Path]:
        try:
            return sorted((each for each in self._folder.iterdir()
                           if each.suffix == ".sock" and each.stem.isdecimal()),
                          key=lambda each: int(each.stem))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise click.ClickException(f"{self._folder}: {error.strerror}; run the command as root "
                                       "or as the proxy's user") from None

    def _ask(self, path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return exchange(path, request)
        except (NoAnswer, Unanswerable) as error:
            raise click.ClickException(str(error)) from None


def exchange(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """One question, one answer; None if nobody listens any more. Raises NoAnswer, Unanswerable."""
    if len(str(path).encode()) > PATH_BYTES:
        raise NoAnswer(f"{path}: longer than a socket's path may be; set a shorter `data` in "
                       "outbounds.yaml")
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(TIMEOUT)
            peer.connect(str(path))
            peer.sendall(json.dumps(request).encode() + b"\n")
            line = _line(peer)
    except (ConnectionRefusedError, FileNotFoundError):
        return None  # left by a worker that was killed
    except TimeoutError:
        raise NoAnswer(f"{path}: the proxy did not answer within {TIMEOUT:g} s; is it stopped, or "
                       "very busy?") from None
    except OSError as error:
        raise NoAnswer(f"{path}: {error.strerror or error}; run the command as root or as the "
                       "proxy's user") from None
    try:
        answer = json.loads(line)
        if answer["ok"]:
            result: dict[str, Any] = answer["result"]
            return result
        why = str(answer["error"])
    except (ValueError, KeyError, TypeError):
        raise NoAnswer(f"{path}: the connection ended before the answer did; ask again") from None
    raise Unanswerable(why)


def _line(peer: socket.socket) -> bytes:
    got = bytearray()
    while len(got) <= MAX_ANSWER and not got.endswith(b"\n"):
        data = peer.recv(65536)
        if not data:
            break
        got += data
    return bytes(got)
