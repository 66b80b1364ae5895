"""What becomes of a connection that is one too many: told why, hung up on, and put on record.

An HTTP client gets a 429 (or 503, where it is the proxy that is full) without having been asked for
its request; SOCKS5 has no words for it. Closing at once, with a request unread or on its way, would
reset the connection and take the reply along, so the socket is kept for a moment: of a few at once,
since otherwise the refused would take the room that was refused to them.

Each is counted in the metrics. Records are kept one per source and second, with the number: one for
each connection would let a flood write the log full.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from mitmproxy import connection

from ..core.connection_counts import ConnectionLimits, TooMany
from ..core.verdict import Kind, Verdict, refuse
from . import edge
from .http1_guard import LINGER
from .runtime import Runtime

MOST_LINGERING = 256  # sockets
MOST_RECORDS = 100  # per sweep; with more sources than that, the rest share the last one


def verdict_on(why: TooMany, wait: float, limits: ConnectionLimits) -> Verdict:
    if why is TooMany.TOTAL:
        return refuse("clients", Kind.FAULT, "This proxy has as many connections open as it takes.",
                      rule=why.value, retry_after=wait)
    detail = (f"No more than {limits.per_source} connections may be open from one address."
              if why is TooMany.OPEN else
              f"No more than {limits.new} connections may be opened from one address in "
              f"{limits.window:g} s.")
    return refuse("clients", Kind.LIMIT, detail, rule=why.value, retry_after=wait)


class _Lingering:
    """Stands in for the writer that mitmproxy closes: closes once there was time to read."""

    def __init__(self, refused: RefusedConnections, writer: asyncio.StreamWriter) -> None:
        self._refused, self._writer = refused, writer

    def close(self) -> None:
        lingering = self._refused.lingering
        if len(lingering) >= MOST_LINGERING or self._writer.is_closing():
            self._writer.close()
            return
        lingering.add(self)
        self._writer.write_eof()
        asyncio.get_running_loop().call_later(LINGER, self.end)

    def end(self) -> None:
        """Hang up. Idempotent."""
        self._refused.lingering.discard(self)
        self._writer.transport.abort()


class RefusedConnections:
    def __init__(self, runtime: Runtime) -> None:
        self._rt = runtime
        self._tally: Counter[tuple[str, str]] = Counter()  # by source and rule
        self._latest: dict[tuple[str, str], tuple[connection.Client, Verdict]] = {}
        self.lingering: set[_Lingering] = set()

    def refuse(self, client: connection.Client, handler: Any, source: str,
               verdict: Verdict) -> None:
        """Answer; mitmproxy closes what has an error."""
        rt, key = self._rt, (source, verdict.rule)
        rt.metrics.slow_clients.labels(verdict.rule).inc()
        rt.metrics.count_verdict("refuse", verdict.control, verdict.rule)
        self._tally[key] += 1
        self._latest[key] = client, verdict
        client.error = verdict.detail
        if handler is not None and client.proxy_mode.type_name == "regular":
            transport = handler.transports[client]
            reply = rt.replies.refusal(verdict, rt.recorder.new_id()[0], close=True)
            transport.writer.write(reply.to_bytes())
            transport.writer = _Lingering(self, transport.writer)

    def close(self) -> None:
        """The proxy stops: what is still to be recorded is, and nobody is waited for. Sockets that
        are left open when their server has gone make asyncio complain."""
        self.flush()
        for each in tuple(self.lingering):
            each.end()

    def flush(self) -> None:
        """Put on record what was refused since the last time."""
        tally, latest = self._tally, self._latest
        if not tally:
            return
        self._tally, self._latest = Counter(), {}
        shown = tally.most_common(MOST_RECORDS)
        rest = len(tally) - len(shown)
        for key, count in shown:
            client, verdict = latest[key]
            reason = f"{verdict.detail} Refused from this address since the last record: {count}."
            if rest and key == shown[-1][0]:
                others = tally.total() - sum(count for _, count in shown)
                reason += f" And {others} from {rest} more addresses."
            assert verdict.kind is not None
            source = edge.source_of(client)
            self._rt.recorder.both(
                "connection", reason=reason, status=verdict.kind.status, source_ip=source.ip,
                source_port=source.port, connection=source.connection, verdict="refuse",
                rule_id=verdict.rule, rule_ruleset=verdict.control,
                **self._rt.gate.policy.versions)
