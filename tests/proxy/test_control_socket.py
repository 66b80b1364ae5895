"""The control socket: one question, one answer, and no harm whatever is sent."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from outbounds.cli.running_proxy import NoAnswer, RunningProxy, Unanswerable, exchange
from outbounds.proxy import control_socket
from outbounds.proxy.control_socket import (
    MAX_AT_ONCE,
    PATH_BYTES,
    ControlError,
    ControlSocket,
    Handler,
    Refused,
    control_path,
)


async def echo(request: dict[str, Any]) -> object:
    return request


async def refuse(request: dict[str, Any]) -> object:
    raise Refused("not today")


async def fail(request: dict[str, Any]) -> object:
    raise RuntimeError("a secret")


async def hang(request: dict[str, Any]) -> object:
    await asyncio.sleep(3600)
    return None


HANDLERS: Mapping[str, Handler] = {"echo": echo, "refuse": refuse, "fail": fail, "hang": hang}


def served(path: Path, then: Callable[[ControlSocket], Awaitable[None]],
           faults: list[Exception] | None = None) -> None:
    async def main() -> None:
        control = ControlSocket(path, HANDLERS, lambda place, fault: (
            faults.append(fault) if faults is not None else None))
        await control.start()
        try:
            await then(control)
        finally:
            await control.aclose()

    asyncio.run(main())


async def asked(path: Path, line: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    found: dict[str, Any] = json.loads(await reader.readline())
    assert await reader.read() == b""  # one answer, and the connection ends
    writer.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return control_path(tmp_path, 3)


def test_an_answer_with_the_user_who_asks(path: Path) -> None:
    async def then(_: ControlSocket) -> None:
        got = await asyncio.to_thread(exchange, path, {"command": "echo", "by": "somebody else"})
        assert got == {"command": "echo", "by": pwd.getpwuid(os.getuid()).pw_name}
        assert [stat.S_IMODE(os.stat(each).st_mode) for each in (path, path.parent)] == [
            0o600, 0o700]

    served(path, then)
    assert not path.exists()


def test_a_refusal_and_a_fault_are_errors(path: Path) -> None:
    faults: list[Exception] = []

    async def then(_: ControlSocket) -> None:
        with pytest.raises(Unanswerable, match="not today"):
            await asyncio.to_thread(exchange, path, {"command": "refuse"})
        answer = await asked(path, b'{"command": "fail"}\n')
        assert answer == {"ok": False, "error": "a fault of the proxy's; its log has more"}
        assert await asked(path, b'{"command": "echo"}\n')

    served(path, then, faults)
    assert [str(each) for each in faults] == ["a secret"]


def test_time_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "TIMEOUT", 0.05)

    async def then(_: ControlSocket) -> None:
        assert "no request came" in (await asked(path, b'{"command"'))["error"]
        assert "no answer within" in (await asked(path, b'{"command": "hang"}\n'))["error"]

    served(path, then)


def test_connections_are_bounded(path: Path) -> None:
    async def then(_: ControlSocket) -> None:
        idle = [await asyncio.open_unix_connection(str(path)) for _ in range(MAX_AT_ONCE)]
        await asyncio.sleep(0)
        assert "too many questions" in (await asked(path, b'{"command": "echo"}\n'))["error"]
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        for _ in range(500):  # until they are seen to have gone
            if (await asked(path, b'{"command": "echo"}\n'))["ok"]:
                break
        else:
            raise AssertionError("there is no room again")

    served(path, then)


def test_a_socket_that_a_killed_process_left_is_replaced(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert RunningProxy(path.parent.parent).ask_all("echo") == []

    async def then(_: ControlSocket) -> None:
        found = await asyncio.to_thread(RunningProxy(path.parent.parent).ask_all, "echo")
        assert len(found) == 1

    served(path, then)


def test_a_living_one_is_not(path: Path) -> None:
    async def then(_: ControlSocket) -> None:
        with pytest.raises(ControlError, match="another proxy answers here"):
            await ControlSocket(path, HANDLERS).start()
        assert (await asked(path, b'{"command": "echo"}\n'))["ok"]

    served(path, then)


def test_a_path_that_is_too_long_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = control_path(tmp_path / ("x" * PATH_BYTES))

    async def main() -> None:
        with pytest.raises(ControlError, match=r"set a shorter `data` in outbounds\.yaml"):
            await ControlSocket(path, HANDLERS).start()

    asyncio.run(main())
    with pytest.raises(NoAnswer, match="shorter `data`"):
        exchange(path, {})


def test_all_workers_are_asked_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async def number(request: dict[str, Any], of: int) -> object:
            return of

        workers = [ControlSocket(control_path(tmp_path, n), {
            "number": lambda request, n=n: number(request, n)}) for n in (10, 2, 1)]
        for each in workers:
            await each.start()
        found = await asyncio.to_thread(RunningProxy(tmp_path).ask_all, "number")
        assert found == [1, 2, 10]
        for each in workers:
            await each.aclose()
            await each.aclose()

    asyncio.run(main())
