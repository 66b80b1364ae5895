"""Puts the guards in the places where mitmproxy looks its own classes up.

Every name replaced here is a module global that mitmproxy reads at each use, so one assignment
covers all connections. tests/proxy/test_pins.py holds each of them to what was read when the
guards were written.
"""

from __future__ import annotations

from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import _http1

from .http1_guard import GuardedHttp1Server, HeadLimits, make_body_reader
from .http2_guard import GuardedHttp2Server
from .http_guard import GuardedHttpStream, Unjudged
from .socks_guard import GuardedSocks5Proxy


def install(limits: HeadLimits, unjudged: Unjudged) -> None:
    """Idempotent. `unjudged` makes the 503 for a flow that reached no verdict."""
    GuardedHttp1Server.limits = limits
    GuardedHttpStream.unjudged = unjudged
    for module, name, guard in (
        (http_layer, "HttpStream", GuardedHttpStream),
        (http_layer, "Http1Server", GuardedHttp1Server),
        (http_layer, "Http2Server", GuardedHttp2Server),
        (_http1, "make_body_reader", make_body_reader),
        (modes, "Socks5Proxy", GuardedSocks5Proxy),
    ):
        setattr(module, name, guard)
