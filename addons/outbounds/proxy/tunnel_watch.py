"""The beginning of a tunnel that is not opened: what may become a refused protocol is held back.

`TunnelWatch` stands in the tunnel only until it is known what it carries. Then mitmproxy's TCPLayer
takes over, which relays octets without a look, or its HttpLayer for HTTP in clear, whose requests
are judged one by one; or the tunnel is closed on both sides. What is recognised, and how much has
been passed on by then, is said in `core.tunnel_protocols`.

A ClientHello is held until it is whole and its server name was judged. After it the watch stays
for the target's first octets, because only those show that TLS is spoken: an SMTP server forgives
a ClientHello as one bad command, and would take the mail that comes after.

All else is held for `PATIENCE` at most: a client may well send one word without an end and wait
for the answer. From then on octets are passed on as they come, and recognition goes on: what
completes a refused beginning still ends the tunnel, and a request that took so long to begin
cannot be judged any more and ends it, too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mitmproxy import connection
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import tcp
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.layers.tls import parse_client_hello

from ..core.tunnel_protocols import Opening
from ..core.verdict import Kind
from . import half_open, held_reading
from .first_octets import First, recognise, server_name
from .ja4 import fingerprint

PATIENCE = 3.0  # seconds

# a ClientHello that is still incomplete after this many octets is none (RFC 8446 section 4.1.2
# bounds none, but no client sends 64 KiB; without a bound a tunnel could be used to fill memory)
MAX_CLIENT_HELLO = 65_536

MUCH_HELD = 8192  # octets of the client's, beyond which it is read from no faster than passed on


@dataclass
class TunnelSeen:
    """What a tunnel turned out to carry: TLS to the server `sni` by a program with the fingerprint
    `ja4`, a `protocol` of those that may be refused, or, by its `flaw`, something that should have
    been judged and cannot be."""

    client: connection.Client
    sni: str = ""
    ja4: str = ""
    protocol: str = ""
    flaw: Kind | None = None
    permitted: bool = False  # until the hook says otherwise: fails closed


@dataclass
class OutboundsTunnelHook(commands.StartHook):
    """It is known what a tunnel carries; nothing that shows it has been passed on."""

    data: TunnelSeen


class _Side:
    """One direction: what has come and was not passed on, and whether that was all."""

    def __init__(self, source: connection.Connection) -> None:
        self.source = source
        self.held = bytearray()
        self.passed = 0
        self.ended: events.ConnectionClosed | None = None


class TunnelWatch(layer.Layer):
    """`refused` are the names of the protocols to recognise (`core.tunnel_protocols`)."""

    def __init__(self, context: context.Context, refused: Collection[str]) -> None:
        super().__init__(context)
        self._refused = refused
        self._opening = Opening(refused)
        self._client, self._server = _Side(context.client), _Side(context.server)
        self._maybe_hello = True  # all that the client sent may still be a ClientHello
        self._late = False
        self._timer: commands.RequestWakeup | None = None
        self._reading_held = False
        self._child: layer.Layer | None = None
        self._decided = False

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        return self._relay(event) if self._decided else super().handle_event(event)

    def _relay(self, event: events.Event) -> layer.CommandGenerator[None]:
        """For the rest of the tunnel's life. Not a generator: this is entered for every event."""
        if self._child is None or (self._timer and isinstance(event, events.Wakeup)
                                   and event.command is self._timer):
            return _nothing()
        return self._child.handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            if event.connection is self.context.client:
                self._client.held += event.data
                if not (yield from self._from_client(event.data)):
                    return
            else:
                self._server.held += event.data
                self._opening.from_server(event.data)
        elif isinstance(event, events.ConnectionClosed):
            if event.connection is not self.context.client:
                self._server.ended = event
            elif self._maybe_hello and self._client.held:
                yield from self._close()  # in the middle of a ClientHello
                return
            else:
                self._client.ended = event
        elif isinstance(event, events.Wakeup) and event.command is self._timer:
            self._timer, self._late = None, True
        else:
            if self._child is not None:
                yield from self._child.handle_event(event)
            return
        yield from self._proceed()

    def _from_client(self, data: bytes) -> layer.CommandGenerator[bool]:
        """Look at what the client sent; False where there is nothing more to do."""
        if not self._maybe_hello:
            self._opening.from_client(data)
            return True
        data = bytes(self._client.held)
        first = recognise(data, server_spoke=False)
        if first in (First.TLS_YET, First.TLS):
            half_open.begin(self.context.client.id, half_open.HELLO)
        if first is First.TLS_YET:
            return True
        if first is First.TLS:
            seen = TunnelSeen(self.context.client)
            try:
                hello = parse_client_hello(data)
                if hello is None and len(data) < MAX_CLIENT_HELLO:
                    return True
                if hello is None:
                    seen.flaw = Kind.HEAD_TOO_LARGE
                else:
                    seen.sni, seen.ja4 = server_name(hello), fingerprint(hello)
            except Exception:  # whatever the parser stumbles over, nobody knows the server's name
                seen.flaw = Kind.MALFORMED
            half_open.end(self.context.client.id)
            if (seen.sni or seen.ja4 or seen.flaw) and not (yield from self._ask(seen)):
                return False
        self._maybe_hello = False
        self._opening.from_client(data, tls=first is First.TLS)
        return True

    def _proceed(self) -> layer.CommandGenerator[None]:
        found = self._opening.found
        if found == "http" and "http" not in self._refused and not self._client.passed:
            yield from self._hand_over(HttpLayer(self.context, HTTPMode.transparent))
        elif found:
            late = found == "http" and "http" not in self._refused
            seen = TunnelSeen(self.context.client, protocol="" if late else found,
                              flaw=Kind.HEAD_TIMEOUT if late else None)
            if (yield from self._ask(seen)):
                yield from self._hand_over()
        elif self._opening.over:
            yield from self._hand_over()
        else:
            late = self._late
            yield from self._pass(self._server, None if late else self._opening.server_passable)
            if not self._maybe_hello:
                yield from self._pass(self._client,
                                      None if late else self._opening.client_passable)
                self._hold_reading(len(self._client.held) > MUCH_HELD)
            waiting = self._server.held or (self._client.held and not self._maybe_hello)
            if waiting and self._timer is None:
                self._timer = commands.RequestWakeup(PATIENCE)
                yield self._timer

    def _ask(self, seen: TunnelSeen) -> layer.CommandGenerator[bool]:
        """Whether the tunnel may go on; where not, it is closed."""
        held_reading.hold(self.context.client.id)
        try:
            yield OutboundsTunnelHook(seen)
        finally:
            held_reading.release(self.context.client.id)
        if not seen.permitted:
            yield from self._close()
        return seen.permitted

    def _pass(self, side: _Side, passable: int | None) -> layer.CommandGenerator[None]:
        """Pass on up to `passable` octets, counted from the start; None: all there are."""
        count = len(side.held) if passable is None else passable - side.passed
        if count > 0:
            data = bytes(side.held[:count])
            del side.held[:count]
            side.passed += count
            yield from self._to_child(events.DataReceived(side.source, data))
        if side.ended is not None and not side.held:
            ended, side.ended = side.ended, None
            yield from self._to_child(ended)

    def _to_child(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._child is None:
            self._child = tcp.TCPLayer(self.context, ignore=True)
            yield from self._child.handle_event(events.Start())
        yield from self._child.handle_event(event)

    def _hand_over(self, child: layer.Layer | None = None) -> layer.CommandGenerator[None]:
        if child is not None:
            self._child = child
            yield from child.handle_event(events.Start())
        yield from self._pass(self._server, None)
        yield from self._pass(self._client, None)
        self._decide()

    def _close(self) -> layer.CommandGenerator[None]:
        self._child = None
        self._decide()
        if self.context.server.connected:
            yield commands.CloseConnection(self.context.server)
        yield commands.CloseConnection(self.context.client)

    def _decide(self) -> None:
        self._decided = True
        # what came while a hook was awaited is replayed through this, not through handle_event
        self._handle_event = self._relay  # type: ignore[method-assign]
        self._client.held.clear()
        self._server.held.clear()
        self._hold_reading(False)

    def _hold_reading(self, hold: bool) -> None:
        if hold != self._reading_held:
            self._reading_held = hold
            (held_reading.hold if hold else held_reading.release)(self.context.client.id)


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()
