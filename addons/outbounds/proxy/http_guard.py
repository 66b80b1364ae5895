"""One HTTP exchange: refused at once, judged or not let through, and failures in our own words.

Three things that mitmproxy's `HttpStream` does not do:

- A response set in `requestheaders` is sent only after the whole request body has been read into
  memory. `GuardedHttpStream` sends it straight away and stops the upload.
- A hook that raises, or an addon that was unloaded, lets the request through. Here a flow that
  nobody judged is answered with 503.
- When the target cannot be reached or speaks nonsense, mitmproxy writes an error page of its own.
  Here the reply that the `error` hook put on the flow is sent instead.

It leans on mitmproxy's internals; tests/proxy/test_pins.py fails when they change underneath.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar
from weakref import WeakValueDictionary

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import _http2
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpConnectErrorHook

from . import held_reading, told_faults
from .http1_guard import LINGER, MOST_FORGOTTEN
from .http2_guard import GuardedHttp2Server
from .metering import Meter
from .stopping import Stop, stopped

logger = logging.getLogger("outbounds")

T = TypeVar("T")

# keys of flow.metadata; the values are plain, because flow dumps store the metadata
JUDGED = "outbounds.judged"  # a verdict was reached and, if it allows, its record is on disk
ANSWERED = "outbounds.answered"  # flow.response is our own reply: send it now
HANG_UP = "outbounds.hang-up"  # close the connection after our reply
TARGET = "outbounds.target"  # what the verdict was about: `target_of` the flow when it was reached

# what the `error` hook is told where the request is no longer for that target
SENT_ELSEWHERE = "nobody approved this target: the request was changed after the verdict"


def target_of(flow: http.HTTPFlow) -> str:
    request = flow.request
    return f"{request.scheme}://{request.host}:{request.port}"


class Unjudged(Protocol):
    """Makes the reply to a flow that reached no verdict."""

    def __call__(self, flow: http.HTTPFlow, /) -> http.Response: ...


@dataclass
class ByteCount:
    """Octets that passed a tunnel: up from the client, down to it. `meter` charges them."""

    up: int = 0
    down: int = 0
    meter: Meter | None = None

    def add_up(self, octets: int, client_id: str) -> bool:
        """Count octets of the client's; False if they must not be passed on."""
        self.up += octets
        return self.meter is None or self.meter.up(octets, client_id)

    def add_down(self, octets: int, server_id: str) -> bool:
        """Count octets for the client; False if they must not be passed on."""
        self.down += octets
        return self.meter is None or self.meter.down(octets, server_id)


class GuardedHttpStream(http_layer.HttpStream):
    unjudged: ClassVar[Unjudged]
    tunnel_bytes: ClassVar[dict[str, ByteCount]] = {}
    let_through: ClassVar[WeakValueDictionary[str, GuardedHttpStream]] = WeakValueDictionary()
    forgotten: int | None = None  # octets of a refused upload, read since the reply was sent

    # Some of these return mitmproxy's generator instead of delegating to it: each generator in
    # between is entered again for every command of every event.

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Wakeup):
            command = event.command
            return stopped(self, command.reason) if isinstance(command, Stop) else self.hang_up()
        return super()._handle_event(event)  # type: ignore[no-any-return]

    def hang_up(self) -> layer.CommandGenerator[None]:
        yield commands.CloseConnection(self.context.client)

    def state_wait_for_request_headers(
        self, event: RequestHeaders) -> layer.CommandGenerator[None]:
        deciding: layer.CommandGenerator[None] = super().state_wait_for_request_headers(event)
        if event.end_stream and event.request.method != "CONNECT":
            return deciding
        return self.held(deciding)

    def held(self, deciding: layer.CommandGenerator[None]) -> layer.CommandGenerator[None]:
        """Take in no body, or octets of a tunnel, before there is somewhere to put them."""
        client, http2 = self.context.client, self.context.client.alpn == b"h2"
        if not http2:  # there, other streams go on, and the window is what holds back
            held_reading.hold(client.id)
        try:
            yield from deciding
        finally:
            if not http2:
                held_reading.release(client.id)
        if http2:
            connection = self.client_side()
            if isinstance(connection, GuardedHttp2Server):
                yield from connection.decided(self.stream_id)

    def client_side(self) -> layer.Layer:
        parent = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(parent, http_layer.HttpLayer)
        return parent.connections[self.context.client]

    def check_killed(self, emit_error_hook: bool) -> layer.CommandGenerator[bool]:
        killing: layer.CommandGenerator[bool] = super().check_killed(emit_error_hook)
        if self.server_state == self.state_wait_for_response_headers:
            # killed for what the target answered; its connection, in the middle of that, goes too
            killing = self.reword(killing, complete=False)
        if (yield from killing):
            return True
        flow = self.flow
        if flow.request.method == "CONNECT":
            if not flow.metadata.get(JUDGED) and flow.websocket is None:
                flow.response = self.no_verdict()
                flow.metadata[ANSWERED] = True
            return False
        if self.client_state != self.state_wait_for_request_headers:
            return False
        if not flow.metadata.get(JUDGED):
            flow.response = self.no_verdict()
            flow.metadata[ANSWERED] = True
        if flow.metadata.get(ANSWERED):
            assert flow.response is not None
            complete = any(isinstance(e, RequestEndOfMessage) for e in self._paused_event_queue)
            yield from self.answer(flow.response, complete)
            return True
        self.let_through[flow.id] = self
        return False

    def no_verdict(self) -> http.Response:
        """Never raises: an exception here would leave the client hanging."""
        try:
            return self.unjudged(self.flow)
        except Exception as fault:
            logger.error("No reply could be made; a bare 503.\n%s", told_faults.told(fault))
            return http.Response.make(503, b"", {"Retry-After": "1"})

    def handle_connect_finish(self) -> layer.CommandGenerator[None]:
        """As for a request: where no hook was there to reword a failed dial, a 503 of ours."""
        for command in super().handle_connect_finish():  # type: ignore[no-untyped-call]
            yield command
            if isinstance(command, HttpConnectErrorHook) and not self.flow.metadata.get(ANSWERED):
                self.flow.response = self.no_verdict()
        if self.flow.metadata.get(HANG_UP):
            yield commands.CloseConnection(self.context.client)

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        """Only to the target that was judged. An open connection is used without any dial, so
        the dial's own gate does not see that another addon sent the request elsewhere."""
        if self.flow.metadata.get(TARGET) != target_of(self.flow):
            yield from self.handle_protocol_error(ResponseProtocolError(
                self.stream_id, SENT_ELSEWHERE, ErrorCode.CONNECT_FAILED))
            return False
        return (yield from super().make_server_connection())

    def answer(self, response: http.Response, complete: bool) -> layer.CommandGenerator[None]:
        """Send our own response and end the exchange; `complete`: the request has ended, too."""
        client, flow = self.context.client, self.flow
        if not complete and not flow.request.is_http2:
            response.headers["connection"] = "close"
        body = response.raw_content
        yield http_layer.SendHttp(ResponseHeaders(self.stream_id, response, not body), client)
        if body:
            yield http_layer.SendHttp(ResponseData(self.stream_id, body), client)
        yield http_layer.SendHttp(ResponseEndOfMessage(self.stream_id), client)
        self.client_state = self.server_state = self.state_errored
        flow.live = False
        hang_up = flow.metadata.get(HANG_UP) and not flow.request.is_http2
        if complete and not hang_up:
            yield http_layer.DropStream(self.stream_id)
            if flow.metadata.get(HANG_UP):
                yield commands.CloseConnection(client)
        elif flow.request.is_http2:
            yield from self.stop_stream()
            yield http_layer.DropStream(self.stream_id)
        else:
            # Closing now, with input unread, would reset the connection and take the reply along.
            # The stream is kept until then: the wake-up comes back to it.
            if self.mode is not http_layer.HTTPMode.transparent:
                # inside a tunnel mitmproxy makes a full close of it
                yield commands.CloseTcpConnection(client, half_close=True)
            self.forgotten = 0
            yield commands.RequestWakeup(LINGER)

    def state_errored(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestData) and self.forgotten is not None:
            self.forgotten += len(event.data)
            if self.forgotten > MOST_FORGOTTEN:  # for good: hanging up now would be a reset, too
                held_reading.hold(self.context.client.id)
                self.forgotten = None
        yield from ()

    def stop_stream(self) -> layer.CommandGenerator[None]:
        """RFC 9113 section 8.1: after a complete response, RST_STREAM(NO_ERROR) ends the upload."""
        connection = self.client_side()
        if isinstance(connection, _http2.Http2Server) and not connection.is_closed(self.stream_id):
            connection.h2_conn.reset_stream(self.stream_id, 0)
            yield commands.SendData(self.context.client, connection.h2_conn.data_to_send())

    def start_request_stream(self) -> layer.CommandGenerator[None]:
        return unlogged(super().start_request_stream())

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        return unlogged(super().start_response_stream())

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        return self.reword(super().check_invalid(request), complete=False)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError
                              ) -> layer.CommandGenerator[None]:
        complete = self.client_state == self.state_done
        yield from self.reword(super().handle_protocol_error(event), complete)

    def reword(self, inner: layer.CommandGenerator[T], complete: bool) -> layer.CommandGenerator[T]:
        """Put the reply that the `error` hook left on the flow in place of mitmproxy's error page.

        Only while nothing of a response has been sent; after that the connection just ends.
        """
        unanswered = self.server_state in (
            self.state_uninitialized, self.state_wait_for_response_headers)
        while True:
            try:
                command = next(inner)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            event = command.event if isinstance(command, http_layer.SendHttp) and (
                command.connection is self.context.client) else None
            page = isinstance(event, ResponseProtocolError)
            if (isinstance(event, ResponseProtocolError) and unanswered
                    and not self.flow.metadata.get(ANSWERED)
                    and event.code.http_status_code() is not None):
                # no hook was there to say anything: the script is being unloaded
                self.flow.response = self.no_verdict()
                self.flow.metadata[ANSWERED] = True
            ours = (unanswered and self.flow.metadata.get(ANSWERED)
                    and self.flow.response is not None)
            if page and ours:
                assert self.flow.response is not None
                yield from self.answer(self.flow.response, complete)
            elif ours and not complete and isinstance(command, http_layer.DropStream):
                pass  # `answer` keeps the stream until its wake-up
            else:
                yield command

    def passthrough(self, event: events.Event) -> layer.CommandGenerator[None]:
        count = self.tunnel_bytes.get(self.context.client.id)
        if count is None:
            yield from super().passthrough(event)
            return
        if isinstance(event, RequestData) and not count.add_up(
                len(event.data), self.context.client.id):
            return
        for command in super().passthrough(event):
            if isinstance(command, http_layer.SendHttp) and isinstance(
                    command.event, ResponseData) and not count.add_down(
                    len(command.event.data), self.context.server.id):
                continue
            yield command


def unlogged[T](inner: layer.CommandGenerator[T]) -> layer.CommandGenerator[T]:
    """`inner` without its log lines. mitmproxy writes one for each body that is streamed, which
    here is every body: under mitmdump that cost a tenth of all processor time."""
    reply = None
    while True:
        try:
            command = inner.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        reply = None if isinstance(command, commands.Log) else (yield command)
