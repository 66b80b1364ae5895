"""What a request shows beside what is judged, for its opening record."""

from __future__ import annotations

from mitmproxy import http

from .clients import ClientConnection
from .edge import values
from .trace_context import trace_context


def seen_in(flow: http.HTTPFlow, client: ClientConnection) -> dict[str, str]:
    """Attributes of a `Record`: the version of HTTP, the trace that the request is part of, and
    for one that came through TLS what was agreed on, and with what program."""
    request, peer = flow.request, flow.client_conn
    found = trace_context(values(request, b"traceparent"))
    # RFC 9113 has no minor version
    found["http_version"] = "2" if request.is_http2 else request.http_version.removeprefix("HTTP/")
    if peer.tls_established:
        found["tls_version"] = (peer.tls_version or "").removeprefix("TLSv")
        found["tls_cipher"] = peer.cipher or ""
        found["tls_next_protocol"] = (peer.alpn or b"").decode("ascii", "backslashreplace")
        found["tls_ja4"] = client.tunnel.ja4 if client.tunnel is not None else ""
    return found
