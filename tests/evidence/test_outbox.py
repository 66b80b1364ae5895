"""The order of lines that wait for an acknowledgement."""

from __future__ import annotations

import asyncio

from outbounds.evidence.outbox import Outbox


def test_a_batch_that_was_sent_takes_no_more_lines() -> None:
    """A line that joined it would be acknowledged, and its waiter woken, without having been sent.

    It happens where an acknowledgement arrives between two lines of one tick of the event loop.
    """
    outbox = Outbox(1 << 20)
    first, _ = outbox.keep(b"first\n", 1 << 20, 0.0)
    assert [batch.lines for batch in outbox.number_unsent(0.0)] == [[b"first\n"]]
    second, new = outbox.keep(b"second\n", 1 << 20, 0.0)
    assert new
    assert second is not first
    assert second is not None
    with asyncio.Runner() as runner:
        waiter: asyncio.Future[None] = runner.get_loop().create_future()
        second.waiters.append(waiter)
        assert outbox.acknowledge(1) == [first]
        assert not waiter.done()
    assert [batch.lines for batch in outbox.number_unsent(0.0)] == [[b"second\n"]]
