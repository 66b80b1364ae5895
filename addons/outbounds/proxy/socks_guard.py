"""SOCKS5 (RFC 1928, RFC 1929), with a decision before the dial and the reply code it deserves.

mitmproxy offers password authentication only if its own `proxyauth` option is set, dials without
any hook that could refuse in SOCKS5's own words, and logs a broken-off handshake with its bytes,
password included. `GuardedSocks5Proxy` stands in for its SOCKS5 layer.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from mitmproxy import connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import modes

from ..core.verdict import Kind
from . import half_open, held_reading
from .http1_guard import MalformedRequest, OutboundsMalformedHook
from .http_guard import GuardedHttpStream

# RFC 1928 section 6
GENERAL_FAILURE, NOT_ALLOWED, HOST_UNREACHABLE = 0x01, 0x02, 0x04

# what a handshake that mitmproxy's parser refuses amounts to, by the code of its reply
_FLAWS = {
    modes.SOCKS5_METHOD_NO_ACCEPTABLE_METHODS: "No SOCKS5 method is offered that is accepted here.",
    modes.SOCKS5_REP_COMMAND_NOT_SUPPORTED: "This is no SOCKS5 CONNECT request.",
    modes.SOCKS5_REP_ADDRESS_TYPE_NOT_SUPPORTED: "This SOCKS5 address type does not exist.",
}


@dataclass
class SocksConnect:
    """A SOCKS5 CONNECT. The hook leaves `reply_code` 0 to let it through."""

    client: connection.Client
    host: str
    port: int
    reply_code: int = GENERAL_FAILURE  # until the hook says otherwise: fails closed


@dataclass
class OutboundsSocksHook(commands.StartHook):
    """A client asks for a SOCKS5 CONNECT; it has not been dialled yet."""

    data: SocksConnect


class GuardedSocks5Proxy(modes.Socks5Proxy):
    decided: bool = False

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        count = GuardedHttpStream.tunnel_bytes.get(self.context.client.id)
        if count is None:
            yield from super().handle_event(event)
            return
        client = self.context.client
        if isinstance(event, events.DataReceived) and event.connection is client \
                and not count.add_up(len(event.data), client.id):
            return
        for command in super().handle_event(event):
            if isinstance(command, commands.SendData) and command.connection is client \
                    and not count.add_down(len(command.data), self.context.server.id):
                continue
            yield command

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            half_open.begin(self.context.client.id, half_open.SOCKS)
        if isinstance(event, events.ConnectionClosed):
            if self.buf:
                yield from self.malformed("The SOCKS5 handshake breaks off.")
            yield commands.CloseConnection(event.connection)
        else:
            yield from super()._handle_event(event)

    def malformed(self, detail: str) -> layer.CommandGenerator[None]:
        """Put it on record. SOCKS5 has no words for a reply."""
        self.buf = b""
        yield OutboundsMalformedHook(
            MalformedRequest(self.context.client, Kind.MALFORMED, detail))

    def socks_err(self, message: str, reply_code: int | None = None
                  ) -> layer.CommandGenerator[None]:
        # mitmproxy's messages repeat the octets they are about, which may hold a password
        flaw = _FLAWS.get(reply_code) if reply_code is not None else None
        if flaw is not None:
            yield from self.malformed(flaw)
        yield from super().socks_err(flaw or message, reply_code)

    def state_greet(self) -> layer.CommandGenerator[None]:
        if self.buf[:1] not in (b"", bytes([modes.SOCKS5_VERSION])):
            yield from self.malformed("This is not SOCKS5.")
            yield from self.socks_err("Not SOCKS5.")
            return
        if len(self.buf) < 2 or len(self.buf) < 2 + self.buf[1]:
            return
        offered = self.buf[2 : 2 + self.buf[1]]
        if modes.SOCKS5_METHOD_USER_PASSWORD_AUTHENTICATION in offered:
            method = modes.SOCKS5_METHOD_USER_PASSWORD_AUTHENTICATION
            self.state = self.state_auth  # type: ignore[method-assign]
        elif modes.SOCKS5_METHOD_NO_AUTHENTICATION_REQUIRED in offered:
            # known by its source network, perhaps; the decision on the CONNECT finds out
            method = modes.SOCKS5_METHOD_NO_AUTHENTICATION_REQUIRED
            self.state = self.state_connect  # type: ignore[method-assign]
        else:
            yield from self.socks_err("No acceptable SOCKS5 method.",
                                      modes.SOCKS5_METHOD_NO_ACCEPTABLE_METHODS)
            return
        yield commands.SendData(self.context.client, bytes([modes.SOCKS5_VERSION, method]))
        self.buf = self.buf[2 + len(offered):]
        yield from self.state()

    state = state_greet

    def state_connect(self) -> layer.CommandGenerator[None]:
        if not self.decided:
            target = connect_target(self.buf)
            if target is not None:
                self.decided = True
                half_open.end(self.context.client.id)
                held_reading.hold(self.context.client.id)
                try:
                    yield from self.decide(SocksConnect(self.context.client, *target))
                finally:
                    held_reading.release(self.context.client.id)
                return
        yield from super().state_connect()

    def decide(self, data: SocksConnect) -> layer.CommandGenerator[None]:
        """Ask, and dial or refuse."""
        yield OutboundsSocksHook(data)
        if data.reply_code:
            yield from self.socks_err("SOCKS5 CONNECT refused.", data.reply_code)
        else:
            yield from super().state_connect()


def connect_target(buf: bytes) -> tuple[str, int] | None:
    """Host and port of a complete, well-formed CONNECT request (RFC 1928 section 4), else None.

    None also for what is malformed: mitmproxy's own parser comes next and answers that.
    """
    if len(buf) < 5 or buf[:3] != b"\x05\x01\x00":
        return None
    length = {modes.SOCKS5_ATYP_IPV4_ADDRESS: 4, modes.SOCKS5_ATYP_IPV6_ADDRESS: 16,
              modes.SOCKS5_ATYP_DOMAINNAME: 1 + buf[4]}.get(buf[3])
    if length is None or len(buf) < 4 + length + 2:
        return None
    raw, port = buf[4 : 4 + length], int.from_bytes(buf[4 + length : 6 + length], "big")
    if buf[3] == modes.SOCKS5_ATYP_DOMAINNAME:
        return raw[1:].decode("ascii", "replace"), port
    return str(ipaddress.ip_address(raw)), port
