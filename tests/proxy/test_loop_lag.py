"""A loop that is held up knows it, and forgets it again."""

from __future__ import annotations

import asyncio
import time

from outbounds.proxy.loop_lag import LoopLag


async def test_a_loop_that_stands_still_is_late_and_recovers() -> None:
    lag = LoopLag()
    assert lag() == 0.0
    asyncio.get_running_loop().call_soon(time.sleep, 0.5)
    await asyncio.sleep(0.06)
    peak = lag()
    assert peak > 0.3
    seen = [peak]
    for _ in range(20):
        await asyncio.sleep(0.05)
        seen.append(lag())
    assert min(seen) < peak / 2
