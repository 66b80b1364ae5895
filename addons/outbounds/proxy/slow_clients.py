"""Slow abuse, and slow targets: one sweep per second over what is open, and what it ends.

mitmproxy has one time-out, 600 s without any event on a connection, and an octet now and then keeps
everything alive for ever. A timer for each transfer would cost more than the transfer; so nothing
is done as octets pass, and the sweep reads what is counted anyway (`open_connection`). What it ends
it ends within a second or two of its time, with a reason in the closing record and a metric.

Whose fault a standstill is decides what becomes of it:

- a request body that does not come, while we would read it and its target would take it, is the
  client's: 408 (until the target has begun to answer; from then on the two of them may be talking);
- an answer that the client does not take is the client's: the connection is cut, since what waits
  to be sent to it would keep an orderly end waiting, too;
- all else in an exchange is the target's: 504, or a broken-off answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from mitmproxy import connection, ctx

from ..core.charging import source_key
from ..core.connection_counts import ConnectionCounts
from ..core.pace_of_transfer import Progress
from ..core.verdict import Kind, refuse
from ..settings.clients import ClientLimits, TargetTimes
from . import half_open, stopping
from .clients import ClientConnection, Exchange
from .dial import VettedGetaddrinfo
from .exchanges import Exchanges
from .half_frames import HalfFrames
from .http2_guard import Budget, GuardedHttp2Server
from .http_guard import GuardedHttpStream
from .open_connection import OpenConnection, Reading, unsent
from .refused_connections import RefusedConnections, verdict_on
from .runtime import Runtime
from .sever import sever

EVERY = 1.0  # seconds
SLOW_BODY = refuse("clients", Kind.BODY_TIMEOUT, "The body of this request came too slowly.",
                   rule=Kind.BODY_TIMEOUT.slug)
AT_ONCE = 200  # connections that are looked at before others get their turn


class SlowClients:
    """`proxyserver` is mitmproxy's, with its handlers; `workers` processes share the ports."""

    def __init__(self, runtime: Runtime, exchanges: Exchanges,
                 proxyserver: Any, workers: int = 1) -> None:
        self._rt, self._exchanges, self._proxyserver = runtime, exchanges, proxyserver
        self._workers = workers
        self._open: dict[str, OpenConnection] = {}
        self._closing: list[tuple[str, Reading]] = []
        self._http2 = HalfFrames()
        self.limits: ClientLimits
        self.targets: TargetTimes
        self.refused = RefusedConnections(runtime)
        self.counts = ConnectionCounts(runtime.settings.service.clients.connections.limits)
        self.configure(runtime.settings.service.clients, runtime.settings.service.targets)

    def configure(self, limits: ClientLimits, targets: TargetTimes) -> None:
        """Put changed settings in force, for what is open, too."""
        self.limits, self.targets = limits, targets
        self.counts.limits = limits.connections.limits.share(self._workers)
        GuardedHttp2Server.resets = Budget(limits.http2_resets.count, limits.http2_resets.window)
        VettedGetaddrinfo.connect_timeout = targets.connect
        # mitmproxy's own time-out stays behind ours, which know what they end, and records it
        longest = max(limits.idle, limits.tunnel_idle, targets.reply, targets.idle)
        ctx.options.update_known(tcp_timeout=int(longest) + 60)

    # --- connections come and go ----------------------------------------------------------------

    def connected(self, client: connection.Client, handler: Any) -> bool:
        """Count a new connection; False if it was refused."""
        source = source_key(client.peername[0])
        too_many = self.counts.arrive(source, time.monotonic())
        if too_many is not None:
            self.refused.refuse(client, handler, source,
                                verdict_on(*too_many, self.counts.limits))
            return False
        self._open[client.id] = OpenConnection(client, handler, source)
        return True

    def disconnected(self, client_id: str) -> None:
        half_open.end(client_id)
        opened = self._open.pop(client_id, None)
        if opened is None:
            return
        if unsent(opened.transport):  # the end of an answer; it counts until the client has it
            self._closing.append((opened.source, opened.reading))
        else:
            self.counts.leave(opened.source)

    # --- the sweep ------------------------------------------------------------------------------

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.sweep()
            except Exception as fault:
                self._rt.fault("slow-clients", fault)

    async def sweep(self) -> None:
        now = time.monotonic()
        self.refused.flush()
        self.counts.forget(now)
        self._look_at_closing(now)
        for client_id, why, reason in self._http2.look(now, self.limits):
            if client_id in self._open:
                self._end(self._open[client_id], why, reason)
        for number, opened in enumerate(list(self._open.values())):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if opened.client.id not in self._open:
                continue
            try:
                await self._look(opened, time.monotonic())
            except Exception as fault:  # of one connection; the others are looked at all the same
                self._rt.fault("slow-clients", fault)

    async def _look(self, opened: OpenConnection, now: float) -> None:
        limits, state = self.limits, self._rt.clients.get(opened.client.id)
        if opened.reading.too_slow(now, limits.slow_reads.least):
            self._end(opened, "slow-read", "the client did not take what was sent to it")
            return
        stage = half_open.stage(opened.client.id, now, limits.handshake)
        if stage:
            self._end_handshake(opened, state, stage)
            return
        self._look_at_dials(opened, state, now)
        quiet = opened.quiet()
        if state.exchanges:
            for flow_id, exchange in list(state.exchanges.items()):
                await self._look_at_exchange(opened, flow_id, exchange, quiet, now)
        elif state.tunnel is not None:
            if quiet > limits.tunnel_idle:
                self._end(opened, "tunnel-idle",
                          f"nothing passed the tunnel for {limits.tunnel_idle:g} s")
        elif quiet > limits.idle:
            self._end(opened, "idle", f"no request came for {limits.idle:g} s")
        if len(opened.targets) > len(state.exchanges):
            for table in (opened.targets, opened.bodies):
                for gone in [each for each in table if each not in state.exchanges]:
                    del table[gone]

    async def _look_at_exchange(self, opened: OpenConnection, flow_id: str, exchange: Exchange,
                                quiet: float, now: float) -> None:
        stream = GuardedHttpStream.let_through.get(flow_id)
        if stream is None:
            return
        flow = stream.flow
        if flow.websocket is not None:
            if quiet > self.limits.tunnel_idle:
                self._end(opened, "tunnel-idle",
                          f"nothing passed the WebSocket for {self.limits.tunnel_idle:g} s")
            return
        uploading = stream.client_state == stream.state_stream_request_body
        answered = flow.response is not None
        moved = exchange.bytes_up + exchange.bytes_down
        asked = uploading and opened.waits_for_client()  # it is for the client to go on
        if uploading and not answered:
            progress = opened.bodies.get(flow_id)
            if progress is None:
                progress = opened.bodies[flow_id] = Progress(now, exchange.bytes_up)
            if progress.too_slow(now, exchange.bytes_up, self.limits.slow_bodies.least,
                                 excused=not asked):
                self._rt.metrics.slow_clients.labels("slow-body").inc()
                exchange.ending = SLOW_BODY
                await stopping.stop(opened.handler, stream, SLOW_BODY.detail)
                return
        since, before = opened.targets.get(flow_id, (now, -1))
        dialling = stream._paused is not None  # has a time-out of its own
        if (moved != before or dialling or not opened.waits_for_target()
                or (asked and not answered)):
            opened.targets[flow_id] = now, moved
            return
        patience = self.targets.idle if answered or uploading else self.targets.reply
        if now - since > patience:
            await stopping.stop(opened.handler, stream, stopping.LATE_TARGET)

    def _look_at_dials(self, opened: OpenConnection, state: ClientConnection, now: float) -> None:
        for server, io in list(opened.handler.transports.items()):
            if server is opened.client or not half_open.stage(
                    server.id, now, self.targets.connect):
                continue
            half_open.end(server.id)
            state.dial_verdict = refuse(
                "upstream", Kind.TARGET_TIMEOUT,
                f"{server.address[0]} did not complete the TLS handshake in time.",
                rule=Kind.TARGET_TIMEOUT.slug)
            io.handler.cancel("TLS handshake timed out")

    def _look_at_closing(self, now: float) -> None:
        left = []
        for source, reading in self._closing:
            if unsent(reading.transport):
                if not reading.too_slow(now, self.limits.slow_reads.least):
                    left.append((source, reading))
                    continue
                self._rt.metrics.slow_clients.labels("slow-read").inc()
                reading.transport.abort()
            self.counts.leave(source)
        self._closing = left

    # --- endings --------------------------------------------------------------------------------

    def _end_handshake(self, opened: OpenConnection, state: ClientConnection, stage: str) -> None:
        half_open.end(opened.client.id)
        reason = f"The {stage} took longer than {self.limits.handshake:g} s."
        if state.tunnel is None:
            self._exchanges.record_malformed(opened.client, state, refuse(
                "clients", Kind.HEAD_TIMEOUT, reason, rule=Kind.HEAD_TIMEOUT.slug))
        self._end(opened, "handshake", reason)

    def _end(self, opened: OpenConnection, why: str, reason: str) -> None:
        """End a client connection; the records of what is open on it say why."""
        self._rt.metrics.slow_clients.labels(why).inc()
        state = self._rt.clients.get(opened.client.id)
        state.severed = reason
        if state.tunnel is not None:
            state.tunnel.ended = reason
        if opened.takes_nothing():
            opened.transport.abort()
        sever(self._proxyserver.connections, opened.client.id)
