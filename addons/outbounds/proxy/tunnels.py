"""Tunnels: CONNECT and SOCKS5, how they open and how they end.

A tunnel is judged before it is dialled; `tunnel_contents` looks at what then comes through it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from mitmproxy import connection, http

from ..core.account import Account
from ..core.case import Case
from ..core.charging import dial_charges
from ..core.destination import BadHost, parse_host
from ..core.request import Credentials, Request, Way
from ..core.verdict import Kind, Verdict, refuse
from ..evidence.record import Record
from . import edge, upstream
from .clients import Approval, ClientConnection, Exchange, Tunnel
from .exchanges import Exchanges
from .http_guard import JUDGED, ByteCount, GuardedHttpStream
from .runtime import Runtime
from .seen import seen_in
from .settlement import meter_for
from .socks_guard import GENERAL_FAILURE, HOST_UNREACHABLE, NOT_ALLOWED, SocksConnect
from .tunnel_contents import TunnelContents
from .upstream_errors import verdict_for


class Tunnels:
    def __init__(self, runtime: Runtime, exchanges: Exchanges) -> None:
        self._rt = runtime
        self._exchanges = exchanges
        self.contents = TunnelContents(runtime)

    # --- opening --------------------------------------------------------------------------------

    async def connect(self, flow: http.HTTPFlow, client: ClientConnection) -> None:
        """The `http_connect` hook."""
        try:
            credentials = edge.take_credentials(flow.request)
            request = edge.http_request(flow, Way.CONNECT, credentials,
                                        self._rt.route_fields)
        except edge.Malformed as error:
            verdict = refuse("protocol", Kind.MALFORMED, str(error), rule="malformed")
            record = self._exchanges.record_malformed(flow.client_conn, client, verdict)
            self._exchanges.answer(flow, verdict, record.id)
            return
        case, record_or_none = await self._open(request, client, flow.request.host,
                                                seen_in(flow, client))
        if not case.verdict.allowed:
            self._exchanges.refuse(flow, case, record_or_none)
        else:
            flow.metadata[JUDGED] = True

    async def socks_auth(self, peer: connection.Client, client: ClientConnection,
                         credentials: Credentials) -> bool:
        """The `socks5_auth` hook: whether these credentials are an account's."""
        identifier, source = self._rt.gate.identifier, edge.source_of(peer)
        who = await identifier.identify(credentials, source.ip)
        if isinstance(who, Account):
            client.socks_credentials = credentials
            return True
        self._rt.metrics.count_verdict("refuse", "identity", "credentials")
        self._rt.recorder.both(
            "tunnel", reason=who.detail, status=407, source_ip=source.ip, source_port=source.port,
            connection=source.connection, way=Way.SOCKS.value, verdict="refuse",
            rule_id="credentials", rule_ruleset="identity",
            **self._rt.gate.policy.versions)
        return False

    async def socks(self, data: SocksConnect, client: ClientConnection) -> None:
        """The SOCKS5 CONNECT hook: sets the reply code, 0 to let it through."""
        source = edge.source_of(data.client)
        try:
            host = parse_host(data.host)
            if not 0 < data.port < 65536:
                raise edge.Malformed(f"Port {data.port} does not exist.")
        except (BadHost, edge.Malformed) as error:
            verdict = refuse("protocol", Kind.MALFORMED, str(error), rule="malformed")
            self._exchanges.record_malformed(data.client, client, verdict)
            data.reply_code = GENERAL_FAILURE
            return
        scheme = "http" if data.port == 80 else "https"
        request = Request(Way.SOCKS, "CONNECT", scheme, host, data.port, "", source,
                          credentials=client.socks_credentials)
        case, record = await self._open(request, client, data.host)
        if case.verdict.allowed:
            data.reply_code = 0
            return
        kind = case.verdict.kind
        assert kind is not None
        data.reply_code = {Kind.NO_SUCH_HOST: HOST_UNREACHABLE, Kind.FAULT: GENERAL_FAILURE,
                           Kind.EVIDENCE: GENERAL_FAILURE}.get(kind, NOT_ALLOWED)
        if record is not None:
            self._rt.recorder.close(record, 0.0, outcome="failure", reason=case.verdict.detail,
                                    status=kind.status)

    async def _open(self, request: Request, client: ClientConnection, dialled: str,
                    seen: dict[str, str] | None = None) -> tuple[Case, Record | None]:
        """Judge, record, and on an allow make the tunnel known."""
        rt = self._rt
        case, record = await self._exchanges.judge_and_record(request, None, "tunnel", client,
                                                               seen)
        if not case.verdict.allowed:
            return case, record
        assert record is not None and case.account is not None
        exchange = Exchange(record, case.account, case.request.host, request.port,
                            time.monotonic(), (dialled, request.port), case.charges)
        tunnel = Tunnel(exchange, request.way, case.account.inspect, ByteCount())
        exchange.meter = tunnel.count.meter = meter_for(rt, client, exchange, tunnel)
        client.tunnel = tunnel
        GuardedHttpStream.tunnel_bytes[client.id] = client.tunnel.count
        rt.clients.bind(client, case.account.id)
        client.approved[exchange.dialled] = Approval(case.account, partial(dial_charges, case))
        rt.metrics.tunnels.inc()
        return case, record

    def connect_failed(self, flow: http.HTTPFlow, client: ClientConnection) -> None:
        """The `http_connect_error` hook: the dial failed after we had allowed the tunnel."""
        tunnel = client.tunnel
        if tunnel is None or flow.response is None or flow.response.status_code != 502:
            return
        exchange = tunnel.exchange
        verdict = self._dial_failed(flow.response.text or "", client, exchange)
        assert verdict.kind is not None
        self._rt.metrics.upstream_errors.labels(verdict.kind.slug).inc()
        self._exchanges.answer(flow, verdict, exchange.record.id)
        self.close(client, reason=verdict.detail, status=verdict.kind.status)

    def _dial_failed(self, message: str, client: ClientConnection, exchange: Exchange) -> Verdict:
        if client.dial_verdict is not None:
            verdict, client.dial_verdict = client.dial_verdict, None
            return verdict
        if not client.gone:  # who leaves during the dial ends it
            self._rt.gate.health.dial_failed(exchange.host)
        return verdict_for(message, exchange.host.text, connected=False)

    def socks_failed(self, server: connection.Server, client: ClientConnection) -> None:
        """The `server_connect_error` hook: a SOCKS5 tunnel has no other sign that its dial failed;
        a CONNECT is closed in `connect_failed`."""
        tunnel = client.tunnel
        if tunnel is None or tunnel.way is not Way.SOCKS or tunnel.egress[1]:
            return
        verdict = self._dial_failed(server.error or "", client, tunnel.exchange)
        assert verdict.kind is not None
        self._rt.metrics.upstream_errors.labels(verdict.kind.slug).inc()
        self.close(client, reason=verdict.detail, status=verdict.kind.status)

    # --- ending ---------------------------------------------------------------------------------

    def close(self, client: ClientConnection, *, reason: str = "", status: int = 200) -> None:
        """Close the record of a tunnel that is over, and give back what it held."""
        tunnel = client.tunnel
        if tunnel is None:
            return
        client.tunnel = None
        rt, exchange = self._rt, tunnel.exchange
        GuardedHttpStream.tunnel_bytes.pop(client.id, None)
        if exchange.meter is not None:
            exchange.meter.close()
        rt.gate.pacer.release(exchange.charges)
        rt.metrics.tunnels.dec()
        rt.metrics.bytes_up.inc(tunnel.count.up)
        rt.metrics.bytes_down.inc(tunnel.count.down)
        reason = tunnel.ended or reason
        rt.recorder.close(
            exchange.record, time.monotonic() - exchange.started,
            outcome="failure" if reason else "success", reason=reason, status=status,
            request_bytes=tunnel.count.up, response_bytes=tunnel.count.down,
            egress=tunnel.egress, dialled=tunnel.peer[0], tls_ja4=tunnel.ja4, **tunnel.noted)

    def tls_failed(self, side: str, conn: connection.Connection, client: ClientConnection) -> None:
        """The `tls_failed_*` hooks."""
        rt, tunnel = self._rt, client.tunnel
        rt.metrics.tls_failures.labels(side).inc()
        known: dict[str, Any] = {"connection": client.id, **rt.gate.policy.versions}
        if tunnel is not None:
            record = tunnel.exchange.record
            known |= {"user_id": record.user_id, "source_ip": record.source_ip,
                      "source_port": record.source_port,
                      "destination_domain": record.destination_domain,
                      "destination_ip": record.destination_ip,
                      "destination_port": record.destination_port}
        elif side == "client" and conn.peername:
            known |= {"source_ip": conn.peername[0], "source_port": conn.peername[1]}
        rt.recorder.both("tls-failure", reason=f"{side}: {conn.error}",
                         tls_server_name=conn.sni or "", **known)

    def connected(self, server: connection.Server, client: ClientConnection) -> None:
        """The `server_connected` hook: which address and port of ours the target sees."""
        upstream.connected(self._rt.recorder, server, client)
        if client.tunnel is not None:
            self._rt.gate.health.dialled(client.tunnel.exchange.host, failed=False)
