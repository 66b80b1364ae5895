"""Limit state on a Valkey or Redis server, for several machines: every limit of a request in one
function there, one round trip.

One connection carries everything, in order; what one tick of the event loop asks is one write. The
client is a protocol on hiredis' reader and not redis-py: that costs 36 µs a call against 3 to 14,
and its streams wake a reading task one turn of the loop after a reply is there, which is when the
timer of a deadline fires too: every pause of the loop would count as an outage of the server.

**Names.** Each time it joins, a process takes a new name, and keeps it alive by a heartbeat. Calls
under a name that the server does not know charge nothing. So what was sent before an outage and is
read after it is void, and what was held under the former name is replaced by what is held now.

**Away.** A decision waits `timeout` for the server. Three such waits in a row, or a connection that
breaks, and the breaker opens: from then on decisions are made at once, each limit by its `away`,
while one task tries to come back (50 ms, doubling, to 1 s). It closes when three probes in a row,
through the function that decides, have each been answered within `timeout`.

**What an outage may cost.** n processes that share (the server says how many with each decision)
enforce, where `away` is local, 1/n of each limit, and at least 1 of its burst, quota or number:
- A rate with burst b: beyond what it allows, at most max(b, n) when the server goes away, and at
  most b when it is back, having seen none of what came in between.
- A quota per calendar period: at most max(quota, n) more in each period, however many outages it
  has. What was let through is told to the server when it is back.
- What is held: at most max(count, n) more, until it ends.
A call that ran out of time may have been counted by the server, and is then counted here too:
that errs against the customer, by one request of each that was waiting when the server fell silent.
What was posted in the last `PATIENCE` before an outage may be lost.
"""

from .store import ValkeyStore

__all__ = ["ValkeyStore"]
