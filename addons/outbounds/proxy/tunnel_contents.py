"""What turns out to be inside a tunnel, from its first octets, and whether it may be.

An inspected tunnel carries HTTP or nothing. Of one that is not inspected only the beginning is
seen: the server name of a ClientHello, which must be the tunnel's target, because a server chooses
by it whom the octets are for; HTTP in clear, which is judged request by request; or a protocol
that the policy keeps out of tunnels (`core.tunnel_protocols`).
"""

from __future__ import annotations

import time
from dataclasses import replace

from mitmproxy import connection, exceptions
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import modes, tls
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.layers.tls import parse_client_hello

from ..core.case import Case
from ..core.destination import BadHost, parse_host
from ..core.request import Name, Request
from ..core.tunnel_protocols import Opening, refusal
from ..core.verdict import Kind, Verdict, refuse
from . import edge
from .clients import ClientConnection, Tunnel
from .first_octets import First, recognise
from .ja4 import fingerprint
from .runtime import Runtime
from .settlement import noted
from .tunnel_watch import MAX_CLIENT_HELLO, TunnelSeen, TunnelWatch

# why a tunnel whose beginning cannot be judged is closed
FLAWS = {
    Kind.HEAD_TIMEOUT: "The request in the tunnel took too long to begin.",
    Kind.MALFORMED: "The TLS in the tunnel does not begin with a ClientHello.",
    Kind.HEAD_TOO_LARGE: f"The ClientHello in the tunnel is longer than {MAX_CLIENT_HELLO} octets.",
}


class ClosedTunnel(layer.Layer):
    """Ends a tunnel; passes nothing on."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


class TunnelContents:
    def __init__(self, runtime: Runtime) -> None:
        self._rt = runtime

    async def next_layer(self, nextlayer: layer.NextLayer, client: ClientConnection) -> None:
        """The `next_layer` hook: looks at the first octets inside a tunnel.

        An inspected tunnel carries HTTP or nothing: left to mitmproxy, whatever does not begin
        like a usual request would go to the target unjudged, and `get / HTTP/1.1` or an empty
        line in front is enough for that, while most servers take it for a request all the same.

        Raises AddonHalt, which keeps mitmproxy's own addon from choosing, while it cannot be told
        yet, or a ClientHello is incomplete.
        """
        context, tunnel = nextlayer.context, client.tunnel
        if tunnel is None:
            return
        if nextlayer.layer is not None:
            raise RuntimeError(f"{type(nextlayer.layer).__name__} was chosen before we were asked; "
                               "Outbounds must come before mitmproxy's NextLayer")
        if isinstance(context.layers[-1], tls.ClientTLSLayer):
            nextlayer.layer = HttpLayer(context, HTTPMode.transparent)
            return
        if not isinstance(context.layers[-1], HttpStream | modes.Socks5Proxy):
            return
        refused = self._rt.gate.policy.protocol.refused_in_tunnels
        if not tunnel.inspect:
            nextlayer.layer = TunnelWatch(context, refused)
            return
        data, greeting = nextlayer.data_client(), nextlayer.data_server()
        first = recognise(data, bool(greeting))
        if first is First.TLS:
            await self._inspect(nextlayer, data, tunnel)
            return
        if first is First.TLS_YET or (first is First.HTTP_YET and "http" in refused):
            raise exceptions.AddonHalt
        opening = Opening(refused)
        opening.from_server(greeting)
        opening.from_client(data)
        # it carries HTTP or nothing; where HTTP in clear is refused, TLS alone is left
        found = opening.found or ("http" if "http" in refused else "")
        objection = self._judge_protocol(found, tunnel, context.client) if found else None
        nextlayer.layer = (ClosedTunnel(context) if objection is not None
                           else HttpLayer(context, HTTPMode.transparent))

    async def _inspect(self, nextlayer: layer.NextLayer, data: bytes, tunnel: Tunnel) -> None:
        """TLS in an inspected tunnel: mitmproxy opens it, for the server that was judged."""
        context = nextlayer.context
        try:
            hello = parse_client_hello(data)
        except ValueError:
            if not starts_like_tls_record(data):  # mitmproxy would take it for raw octets
                nextlayer.layer = HttpLayer(context, HTTPMode.transparent)
            return
        if hello is None and len(data) < MAX_CLIENT_HELLO:
            raise exceptions.AddonHalt
        tunnel.ja4 = fingerprint(hello) if hello is not None else ""
        sni = hello.sni if hello is not None else None
        # the target sees the name that was judged, whatever the client says inside; a disagreement
        # is answered with 421 once the client can read it, in the first request
        verdict = await self._judge_sni(sni, tunnel, context.client) if sni else None
        context.server.sni = sni if verdict is None else tunnel.exchange.host.text

    async def seen(self, data: TunnelSeen, client: ClientConnection) -> None:
        """The `outbounds_tunnel` hook: whether a tunnel that is not opened may go on."""
        tunnel = client.tunnel
        if tunnel is None:
            return
        if data.flaw is not None:
            objection: Verdict | None = refuse(
                "protocol", data.flaw, FLAWS[data.flaw], rule=data.flaw.slug)
            assert objection is not None
            self._end(tunnel, objection)
        elif data.protocol:
            objection = self._judge_protocol(data.protocol, tunnel, data.client)
        else:
            tunnel.ja4 = data.ja4
            objection = await self._judge_sni(data.sni, tunnel, data.client) if data.sni else None
            tunnel.ended = objection.detail if objection is not None else ""
        data.permitted = objection is None

    def _judge_protocol(self, name: str, tunnel: Tunnel,
                        client: connection.Client) -> Verdict | None:
        """None if the tunnel may carry the protocol `name`; otherwise it is about to be closed."""
        exchange, policy = tunnel.exchange, self._rt.gate.policy
        request = Request(tunnel.way, "CONNECT", exchange.record.url_scheme, exchange.host,
                          exchange.port, "", edge.source_of(client))
        case = Case(request, policy, time.time(), exchange.account)
        verdict = refusal(case, name)
        if verdict is not None:
            self._end(tunnel, verdict)
        elif case.lifted:
            tunnel.noted = {"exception": ",".join(case.lifted)}
        return verdict

    def _end(self, tunnel: Tunnel, verdict: Verdict) -> None:
        """What the closing record will say of a tunnel that was let through and is refused now."""
        self._rt.metrics.count_verdict("refuse", verdict.control, verdict.rule)
        tunnel.ended = verdict.detail
        tunnel.noted = noted(verdict, self._rt.gate.policy.versions)

    async def _judge_sni(self, sni: str, tunnel: Tunnel,
                         client: connection.Client) -> Verdict | None:
        """None if the server name and the tunnel's target agree, and the name is permitted."""
        rt, exchange = self._rt, tunnel.exchange
        try:
            host = parse_host(sni)
        except BadHost as error:
            verdict = refuse("protocol", Kind.MISDIRECTED, str(error), rule="names-agree")
        else:
            if host == exchange.host:
                return None
            opened = parse_host(exchange.record.destination_domain
                                or exchange.record.destination_ip)
            request = Request(tunnel.way, "CONNECT", "https", opened, exchange.port, "",
                              edge.source_of(client), names=(Name("SNI", host),))
            case = await rt.gate.judge(request, exchange.account, charge=False)
            if case.verdict.allowed:
                tunnel.exchange = replace(exchange, host=case.request.host)
                return None
            verdict = case.verdict
        rt.recorder.both(
            "tls-failure", reason=verdict.detail, status=verdict.kind.status if verdict.kind else 0,
            user_id=exchange.account.id, source_ip=exchange.record.source_ip,
            source_port=exchange.record.source_port, connection=client.id,
            destination_domain=exchange.host.text, destination_port=exchange.port,
            tls_server_name=sni, verdict="refuse", rule_id=verdict.rule,
            rule_ruleset=verdict.control, rule_reference=verdict.clause,
            **rt.gate.policy.versions)
        return verdict
