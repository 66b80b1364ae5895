"""HTTP/2 from clients: what breaks or floods it is on record before the connection ends.

mitmproxy answers a frame that breaks HTTP/2, or a request whose pseudo-headers contradict its
fields, with GOAWAY and fires no hook, since no flow was made; so nobody would know that it came.

It also takes as many frames that cost the client nothing as the client likes: streams opened and
reset in quick succession ("rapid reset", CVE-2023-44487), and PING and SETTINGS, each of which is
owed an answer. Those have a budget here (RFC 9113 section 10.5: ENHANCE_YOUR_CALM), which a stream
that is reset is charged to, whatever has become of it until then.
"""

from __future__ import annotations

import time
from typing import ClassVar
from weakref import WeakSet

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

from ..core.limits import gcra
from ..core.verdict import Kind
from .http1_guard import MalformedRequest, OutboundsMalformedHook

# octets that a client may send before we have taken them in: of one stream, and of all together
STREAM_WINDOW = 1024 * 1024
CONNECTION_WINDOW = 4 * 1024 * 1024

# PING, SETTINGS, PRIORITY_UPDATE and DATA without octets, per connection and minute. gRPC measures
# its line by some PINGs a second; a flood is thousands
FREE_FRAMES = 10_000
DATA_FRAME = 0  # RFC 9113 section 6.1
FRAME_TYPE = 3  # where it stands in a frame (section 4.1)


class BoundedH2Connection(BufferedH2Connection):
    """mitmproxy opens both windows to 2 GiB, which is no flow control at all."""

    def __init__(self, config: h2.config.H2Configuration) -> None:
        super().__init__(config)
        self.local_settings.initial_window_size = STREAM_WINDOW
        self.local_settings.acknowledge()  # or the old value is announced

    def initiate_connection(self) -> None:
        h2.connection.H2Connection.initiate_connection(self)
        self.increment_flow_control_window(CONNECTION_WINDOW - self.inbound_flow_control_window)


class Budget:
    """`count` at once, and so many more in each `window` seconds."""

    def __init__(self, count: int, window: float) -> None:
        self._count, self._interval = count, window / count

    def spend(self, tat: float) -> tuple[float, bool]:
        """One more, after `tat` (GCRA, `core.limits`): the new tat, and whether it was too many."""
        tat, wait = gcra(tat, time.monotonic(), self._interval, self._count)
        return tat, wait > 0.0


# hyper-h2 makes an event of each; it answers the first two by itself
_FREE = (h2.events.PingReceived, h2.events.RemoteSettingsChanged, h2.events.PriorityUpdated,
         h2.events.UnknownFrameReceived)


class GuardedHttp2Server(_http2.Http2Server):
    """mitmproxy gives the window of a stream back as soon as data has come, also while the stream
    is being decided on and all of it has to be kept; here only once there is a decision."""

    open: ClassVar[WeakSet[GuardedHttp2Server]] = WeakSet()
    resets: ClassVar[Budget] = Budget(600, 60.0)
    free_frames: ClassVar[Budget] = Budget(FREE_FRAMES, 60.0)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.h2_conn = BoundedH2Connection(self.h2_conf)
        self.kept: dict[int, int] = {}  # by stream: octets of window that were not given back
        self.frames = 0  # that have come
        self.granted = 0  # octets of window that the client has given, for answers
        self._reset_tat = self._free_tat = 0.0
        self.open.add(self)

    def handle_h2_event(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        self.frames += 1
        if isinstance(event, h2.events.DataReceived):
            if not event.flow_controlled_length and not event.stream_ended:
                return self.free_frame(event)
            if self.undecided(event.stream_id):
                return self.keep(event)
        elif isinstance(event, h2.events.WindowUpdated):
            self.granted += event.delta or 0
        elif isinstance(event, h2.events.StreamReset):
            self._reset_tat, over = self.resets.spend(self._reset_tat)
            if over:
                return self.calm("Too many streams were reset on this HTTP/2 connection.")
        elif isinstance(event, _FREE):
            return self.free_frame(event)
        return super().handle_h2_event(event)

    def free_frame(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        self._free_tat, over = self.free_frames.spend(self._free_tat)
        if over:
            return self.calm("Too many HTTP/2 frames came that ask for nothing.")
        return super().handle_h2_event(event)

    def calm(self, detail: str) -> layer.CommandGenerator[bool]:
        yield OutboundsMalformedHook(MalformedRequest(
            self.conn, Kind.FLOOD, detail))  # type: ignore[arg-type]
        yield from super().protocol_error(detail, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        return True

    def half_frame(self) -> bool:
        """Whether the beginning of the connection, or of a frame that is no body, has come and
        the rest has not."""
        buffer = self.h2_conn.incoming_buffer
        data = buffer._data
        return (not self.frames or bool(buffer._headers_buffer)
                or (len(data) > 0 and data[FRAME_TYPE:FRAME_TYPE + 1] != bytes([DATA_FRAME])))

    def unsent(self) -> bool:
        """Whether octets of answers wait for the client to give window."""
        return any(self.h2_conn.stream_buffers.values())

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
