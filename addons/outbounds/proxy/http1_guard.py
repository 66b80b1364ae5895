"""HTTP/1 from clients: a bounded head, one meaning, and an answer on the wire contract.

mitmproxy reads heads without any bound, answers a head that it cannot parse without firing a hook
(so nobody records it), and logs the raw bytes, credentials included, of a head that breaks off.
It also forwards a bare CR or NUL in a field value and a missing or repeated Host, and crashes the
connection on chunked trailers. `GuardedHttp1Server` stands in for its HTTP/1 server side.

The overridden methods are copies of mitmproxy's with these points mended; tests/proxy/test_pins.py
fails when the originals change underneath.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import h11
from h11._readers import ChunkedReader
from mitmproxy import connection, http
from mitmproxy.net.http import http1, url
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestHeaders

from ..core.verdict import Kind
from . import held_reading

# how long a refused client may go on sending before it is hung up on, and how much of it is read
LINGER = 2.0  # seconds
MOST_FORGOTTEN = 1024 * 1024
# octets of the next requests that are taken in while one is being answered
MOST_PIPELINED = 128 * 1024
# RFC 9112 section 2.2 asks for one to be ignored; one now and then would keep a connection for ever
MOST_EMPTY_LINES = 16


@dataclass
class MalformedRequest:
    """A head that is refused before it can become a flow. The hook fills in `reply` octets."""

    client: connection.Client
    kind: Kind
    detail: str
    reply: bytes = b""


@dataclass
class OutboundsMalformedHook(commands.StartHook):
    """A client sent something that is not one well-formed HTTP/1 request head."""

    data: MalformedRequest


@dataclass(frozen=True)
class HeadLimits:
    """Octets, fields and seconds that a request head may take (RFC 9110 section 5.4: up to us)."""

    max_bytes: int = 65_536
    max_fields: int = 200
    timeout: float = 10.0


class GuardedHttp1Server(_http1.Http1Server):
    limits: ClassVar[HeadLimits] = HeadLimits()
    heads_read: int = 0
    empty_lines: int = 0  # in front of the next head
    forgotten: int = 0  # octets that came after a head that was refused
    holding: bool = False
    clock: tuple[commands.RequestWakeup, int] | None = None  # the wake-up, and for which head

    def wait(self, event: events.Event) -> layer.CommandGenerator[None]:
        if len(self.buf) > MOST_PIPELINED and not self.holding:
            self.holding = True
            held_reading.hold(self.conn.id)
        return super().wait(event)

    def read_headers(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self.holding:
            self.holding = False
            held_reading.release(self.conn.id)
        if isinstance(event, events.Wakeup):
            if self.clock is not None and event.command is self.clock[0]:
                late, self.clock = self.clock[1] == self.heads_read and len(self.buf) > 0, None
                if late:
                    yield from self.refuse_head(
                        Kind.HEAD_TIMEOUT,
                        f"The request head took longer than {self.limits.timeout:g} s.")
            return
        if isinstance(event, events.ConnectionClosed):
            if bytes(self.buf).strip():
                yield from self.refuse_head(Kind.MALFORMED, "The request head breaks off.",
                                            answer=False)
            yield commands.CloseConnection(self.conn)
            return
        if not isinstance(event, events.DataReceived):
            raise AssertionError(f"Unexpected event: {event}")
        # RFC 9112 section 2.2: ignore empty lines before the request line
        while (head := self.buf.maybe_extract_lines()) == []:
            self.empty_lines += 1
        if self.empty_lines > MOST_EMPTY_LINES:
            yield from self.refuse_head(Kind.MALFORMED, "There are only empty lines.")
            return
        if head is None:
            if len(self.buf) > self.limits.max_bytes:
                yield from self.refuse_head(
                    Kind.HEAD_TOO_LARGE,
                    f"The request head is larger than {self.limits.max_bytes} octets.")
            elif len(self.buf) and (self.clock is None or self.clock[1] != self.heads_read):
                # a head that has begun must end in time; an idle connection has begun nothing
                self.clock = (commands.RequestWakeup(self.limits.timeout), self.heads_read)
                yield self.clock[0]
            return
        self.heads_read += 1
        self.empty_lines = 0
        lines = [bytes(line) for line in head]
        # a WebSocket's URI as aiohttp sends it to a proxy; the handshake is an http request all
        # the same (RFC 6455 section 4.1), and mitmproxy knows no such scheme
        lines[0] = _WS_TARGET.sub(rb"\1http://", lines[0])
        try:
            self.request = request = http1.read_request_head(lines)
            expected_body_size = http1.expected_http_body_size(request)
        except ValueError:
            # mitmproxy's message repeats the line, which may hold a password
            yield from self.refuse_head(Kind.MALFORMED, "This is not a valid HTTP/1 request head.")
            return
        flaw = head_flaw(request, lines, self.limits) or self.target_flaw(request)
        if flaw is not None:
            yield from self.refuse_head(*flaw)
            return
        yield ReceiveHttp(RequestHeaders(self.stream_id, request, expected_body_size == 0))
        self.body_reader = _http1.make_body_reader(expected_body_size)
        self.state = self.read_body
        yield from self.state(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        # the clock of a head that has long been read: the other states know no wake-ups
        if isinstance(event, events.Wakeup) and self.state not in (self.read_headers, self.linger):
            return self.ignore()
        return super()._handle_event(event)  # not a generator around it: see http_guard

    def ignore(self) -> layer.CommandGenerator[None]:
        yield from ()

    def target_flaw(self, request: http.Request) -> tuple[Kind, str] | None:
        """Outside a tunnel an origin-form target is only as good as its Host field."""
        if self.parent.mode is not http_layer.HTTPMode.regular or request.data.host:
            return None
        try:
            url.parse_authority(request.host_header or "", check=True)
        except ValueError:
            return Kind.MALFORMED, "Neither the request target nor Host names a target."
        return None

    @property
    def parent(self) -> http_layer.HttpLayer:
        parent = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(parent, http_layer.HttpLayer)
        return parent

    def refuse_head(self, kind: Kind, detail: str, *,
                    answer: bool = True) -> layer.CommandGenerator[None]:
        """Record, answer, and close: after a head that cannot be read there is no next one."""
        data = MalformedRequest(self.conn, kind, detail)  # type: ignore[arg-type]
        self.state = self.linger  # before the hook: what arrives meanwhile is not parsed
        self.buf.maybe_extract_at_most(len(self.buf))
        yield OutboundsMalformedHook(data)
        if answer and data.reply:
            yield commands.SendData(self.conn, data.reply)
            # closing with unread input would reset the connection and the reply with it; and
            # inside a tunnel mitmproxy makes a full close of a half one
            if self.parent.mode is not http_layer.HTTPMode.transparent:
                yield commands.CloseTcpConnection(self.conn, half_close=True)
            yield commands.RequestWakeup(LINGER)
        else:
            yield commands.CloseConnection(self.conn)

    def linger(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Read and forget until the client has had the time to read our reply."""
        self.forgotten += len(self.buf)
        self.buf.maybe_extract_at_most(len(self.buf))
        if self.forgotten > MOST_FORGOTTEN and not self.holding:
            self.holding = True  # for good: hanging up now would be a reset, too
            held_reading.hold(self.conn.id)
        if isinstance(event, (events.Wakeup, events.ConnectionClosed)):
            yield commands.CloseConnection(self.conn)


def head_flaw(request: http.Request, lines: list[bytes],
              limits: HeadLimits) -> tuple[Kind, str] | None:
    """What makes a parsed head ambiguous, or None."""
    if sum(map(len, lines)) + 2 * len(lines) > limits.max_bytes:
        return (Kind.HEAD_TOO_LARGE,
                f"The request head is larger than {limits.max_bytes} octets.")
    if len(lines) - 1 > limits.max_fields:
        return (Kind.HEAD_TOO_LARGE,
                f"The request head has more than {limits.max_fields} fields.")
    if request.http_version not in ("HTTP/1.0", "HTTP/1.1"):
        return Kind.MALFORMED, "The request is not in HTTP/1.0 or HTTP/1.1."
    hosts = 0
    for name, value in request.headers.fields:
        # RFC 9110 section 5.5: NUL, CR and LF in a value are dangerous; obs-fold arrives as CRLF
        if _CONTROL.search(value):
            return Kind.MALFORMED, "A field value holds a control character."
        if name.lower() == b"host":
            hosts += 1
    if hosts > 1:
        return Kind.MALFORMED, "Host is sent more than once."  # RFC 9112 section 3.2
    if not hosts and request.http_version == "HTTP/1.1":
        return Kind.MALFORMED, "Host is missing."  # RFC 9112 section 3.2
    if _CONTROL.search(lines[0]):
        return Kind.MALFORMED, "The request target holds a control character."
    if request.method == "CONNECT" and not _AUTHORITY_FORM.fullmatch(lines[0].split()[1]):
        return Kind.MALFORMED, "The target of a CONNECT is not host:port."
    return None


_WS_TARGET = re.compile(rb"^(GET )ws://", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# RFC 9112 section 3.2.3; mitmproxy takes whatever int() does: full-width digits, 4_43, +443
_AUTHORITY_FORM = re.compile(rb"[\x21-\x7e]+:[0-9]{1,5}")


class TrailerlessChunkedReader:
    """h11's chunked reader, without the trailer fields, which RFC 9110 section 6.5.1 lets us drop.

    mitmproxy raises NotImplementedError on them, which leaves the connection hanging.
    """

    def __init__(self) -> None:
        self._reader = ChunkedReader()

    def __call__(self, buf: Any) -> Any:
        event = self._reader(buf)
        if isinstance(event, h11.EndOfMessage) and event.headers:
            return h11.EndOfMessage()
        return event

    def read_eof(self) -> Any:
        return self._reader.read_eof()


def make_body_reader(expected_size: int | None) -> Any:
    if expected_size is None:
        return TrailerlessChunkedReader()
    return _original_make_body_reader(expected_size)


_original_make_body_reader = _http1.make_body_reader
