"""Keeping what the exchanges of an account hold, where a case orders it (`evidence.captures`).

An exchange is kept in memory while it lasts, up to the order's bound for each body and `MOST_HELD`
in all; then it is encrypted and written in a thread, and a record of its own says that it was and
with which hash. What cannot be kept is recorded, too: a gap in a capture has to be visible.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitmproxy import http

from ..evidence.captures.orders import (
    CaptureOrder,
    CapturesFileError,
    Orders,
    captured_folder,
    captures_path,
    read_orders,
)
from ..evidence.captures.sealing import Captured, CaptureFull, Fields, Message, keep
from ..evidence.record import Record
from .followed_file import FollowedFile
from .recorder import Recorder

EVERY = 0.1                    # s between two looks at the orders
MOST_HELD = 64 * 1024 * 1024   # octets of bodies in memory, of all exchanges together
AT_ONCE = 2                    # exchanges being encrypted

Head = tuple[str, Fields]
"""The first line of a message, and its fields."""


@dataclass(slots=True)
class Capture:
    """One exchange that is being captured: `up` and `down` take its bodies as they pass, `answer`
    the head of the target's answer."""

    orders: Orders
    record: Record
    url: str
    head: Head
    bound: int
    held: Callable[[int], bool]
    answer_head: Head | None = None
    bodies: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    cut: list[bool] = field(default_factory=lambda: [False, False])

    def answer(self, response: http.Response) -> None:
        self.answer_head = (f"{response.http_version} {response.status_code} {response.reason}",
                            response.headers.fields)

    def up(self, chunk: bytes) -> None:
        self._take(0, chunk)

    def down(self, chunk: bytes) -> None:
        self._take(1, chunk)

    def _take(self, way: int, chunk: bytes) -> None:
        body = self.bodies[way]
        kept = chunk[:self.bound - len(body)]
        if len(kept) < len(chunk):
            self.cut[way] = True
        if kept and self.held(len(kept)):
            body += kept
        elif kept:
            self.cut[way] = True


class Captures:
    """`data` is the service's folder. `fault(place, error)` is told what went wrong."""

    def __init__(self, data: Path, recorder: Recorder,
                 fault: Callable[[str, BaseException], None]) -> None:
        self._data = data
        self._recorder = recorder
        self._fault = fault
        self._orders: dict[str, list[CaptureOrder]] = {}
        self._held = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._file = FollowedFile(captures_path(data), read_orders, self._take,
                                  known=CapturesFileError, stays="What is captured stays as it is")

    async def watch(self) -> None:
        """Follow the orders until cancelled."""
        while True:
            await self._file.look_aside()
            await asyncio.sleep(EVERY)

    async def close(self) -> None:
        """Wait until what is over has been written."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def begin(self, account: str, record: Record, request: http.Request) -> Capture | None:
        """For a request that goes out as it is now; None where nothing orders it."""
        known = self._orders.get(account)
        if known is None:
            return None
        now = time.time()
        orders = tuple(each for each in known if each.in_force(now))
        if not orders:
            return None
        return Capture(orders, record, request.url, (
            f"{request.method} {request.path} {request.http_version}", request.headers.fields),
            max(each.each for each in orders), self._hold)

    def end(self, capture: Capture) -> None:
        """The exchange is over, however it ended."""
        answer, (up, down) = capture.answer_head, capture.bodies
        exchange = Captured(
            capture.record.id, capture.url, capture.record.timestamp,
            Message(*capture.head, bytes(up), capture.cut[0]),
            None if answer is None else Message(*answer, bytes(down), capture.cut[1]))
        task = asyncio.get_running_loop().create_task(self._write(capture, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, capture: Capture, exchange: Captured) -> None:
        try:
            async with self._room:
                for order in capture.orders:
                    await self._keep(order, exchange)
        finally:
            self._held -= sum(map(len, capture.bodies))

    async def _keep(self, order: CaptureOrder, exchange: Captured) -> None:
        known: dict[str, Any] = {"case": order.case, "user_id": order.account}
        try:
            digest, octets = await asyncio.to_thread(
                keep, captured_folder(self._data, order.case), exchange, order.recipient,
                order.most)
        except CaptureFull as full:
            self._recorder.both("capture", reason=str(full), scope=exchange.record, **known)
        except Exception as error:
            self._fault("capture", error)
            self._recorder.both("capture", reason=f"not kept: {type(error).__name__}",
                                scope=exchange.record, **known)
        else:
            self._recorder.both("capture", reason="", outcome="success", count=octets,
                                scope=f"{exchange.record} sha256:{digest}", **known)

    def _take(self, orders: Orders) -> None:
        found: dict[str, list[CaptureOrder]] = {}
        for order in orders:
            found.setdefault(order.account, []).append(order)
        self._orders = found

    def _hold(self, octets: int) -> bool:
        if self._held + octets > MOST_HELD:
            return False
        self._held += octets
        return True
