"""Of an answer: whether it may be passed on, whether the client has it, and who left."""

from __future__ import annotations

from mitmproxy import http

from .clients import Exchange


def delivered(flow: http.HTTPFlow, exchange: Exchange) -> bool:
    """Whether the client has the whole body. In HTTP/2 it may leave then, as curl does, before it
    is told that the stream has ended."""
    length = flow.response.headers.get("content-length", "") if flow.response else ""
    return length.isascii() and length.isdecimal() and int(length) == exchange.bytes_down


def objection(flow: http.HTTPFlow) -> str:
    """Why an answer of the target cannot be passed on, "" if it can."""
    assert flow.response is not None
    if flow.response.status_code == 407:
        # RFC 9110 section 15.5.8: this status is the proxy's. Passed on, it would have clients ask
        # their users for the proxy's password on behalf of a site.
        return "asks for proxy credentials, which only a proxy may"
    if flow.response.status_code == 101 and "upgrade" not in flow.request.headers:
        return "switches protocols unasked"  # a raw tunnel that nobody judged would come of it
    return ""


def client_left(message: str) -> bool:
    return message.startswith(("Client disconnected", "stream reset by client")) \
        or "peer closed" in message
