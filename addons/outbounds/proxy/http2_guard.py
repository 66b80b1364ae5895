"""HTTP/2 from clients: what breaks the protocol is on record before the connection ends.

mitmproxy answers a frame that breaks HTTP/2, or a request whose pseudo-headers contradict its
fields, with GOAWAY and fires no hook, since no flow was made; so nobody would know that it came.
"""

from __future__ import annotations

import h2.config
import h2.connection
import h2.errors
import h2.events
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import _http2
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

from ..core.verdict import Kind
from .http1_guard import MalformedRequest, OutboundsMalformedHook

# octets that a client may send before we have taken them in: of one stream, and of all together
STREAM_WINDOW = 1024 * 1024
CONNECTION_WINDOW = 4 * 1024 * 1024


class BoundedH2Connection(BufferedH2Connection):
    """mitmproxy opens both windows to 2 GiB, which is no flow control at all."""

    def __init__(self, config: h2.config.H2Configuration) -> None:
        super().__init__(config)
        self.local_settings.initial_window_size = STREAM_WINDOW
        self.local_settings.acknowledge()  # or the old value is announced

    def initiate_connection(self) -> None:
        h2.connection.H2Connection.initiate_connection(self)
        self.increment_flow_control_window(CONNECTION_WINDOW - self.inbound_flow_control_window)


class GuardedHttp2Server(_http2.Http2Server):
    """mitmproxy gives the window of a stream back as soon as data has come, also while the stream
    is being decided on and all of it has to be kept; here only once there is a decision."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.h2_conn = BoundedH2Connection(self.h2_conf)
        self.kept: dict[int, int] = {}  # by stream: octets of window that were not given back

    def handle_h2_event(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        if isinstance(event, h2.events.DataReceived) and self.undecided(event.stream_id):
            return self.keep(event)
        return super().handle_h2_event(event)

    def undecided(self, stream_id: int) -> bool:
        parent = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(parent, http_layer.HttpLayer)
        stream = parent.streams.get(stream_id)
        return (stream is not None and stream._paused is not None
                and self.streams.get(stream_id) is _http2.StreamState.HEADERS_RECEIVED)

    def keep(self, event: h2.events.DataReceived) -> layer.CommandGenerator[bool]:
        self.kept[event.stream_id] = (
            self.kept.get(event.stream_id, 0) + event.flow_controlled_length)
        if event.data:
            yield ReceiveHttp(self.ReceiveData(event.stream_id, event.data))
        return False

    def decided(self, stream_id: int) -> layer.CommandGenerator[None]:
        """Give the window back; for a refused stream, too, since the connection shares it."""
        octets = self.kept.pop(stream_id, 0)
        if octets:
            self.h2_conn.acknowledge_received_data(octets, stream_id)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())

    def protocol_error(
        self, message: str, error_code: int = h2.errors.ErrorCodes.PROTOCOL_ERROR
    ) -> layer.CommandGenerator[None]:
        # our words, not h2's: those quote what the client sent. The reply octets go unused, since
        # after a connection error there is no stream left to send one on (RFC 9113 section 5.4.1)
        yield OutboundsMalformedHook(MalformedRequest(
            self.conn, Kind.MALFORMED,  # type: ignore[arg-type]
            "This is not a valid HTTP/2 request."))
        yield from super().protocol_error(message, error_code)
