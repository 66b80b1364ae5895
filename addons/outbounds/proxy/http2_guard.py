"""HTTP/2 from clients: what breaks the protocol is on record before the connection ends.

mitmproxy answers a frame that breaks HTTP/2, or a request whose pseudo-headers contradict its
fields, with GOAWAY and fires no hook, since no flow was made; so nobody would know that it came.
"""

from __future__ import annotations

import h2.errors
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers.http import _http2

from ..core.verdict import Kind
from .http1_guard import MalformedRequest, OutboundsMalformedHook


class GuardedHttp2Server(_http2.Http2Server):
    def protocol_error(
        self, message: str, error_code: int = h2.errors.ErrorCodes.PROTOCOL_ERROR
    ) -> layer.CommandGenerator[None]:
        # our words, not h2's: those quote what the client sent. The reply octets go unused, since
        # after a connection error there is no stream left to send one on (RFC 9113 section 5.4.1)
        yield OutboundsMalformedHook(MalformedRequest(
            self.conn, Kind.MALFORMED,  # type: ignore[arg-type]
            "This is not a valid HTTP/2 request."))
        yield from super().protocol_error(message, error_code)
