"""What a tunnel carries, from its first octets.

Left to mitmproxy, one octet is enough to decide: a ClientHello or a request that arrives in small
pieces would be taken for neither, and pass without its server name or its path being looked at. So
the answer here is "not yet" for as long as the octets may still become one of the two.
"""

from __future__ import annotations

from enum import Enum, auto

from mitmproxy.net.tls import starts_like_tls_record

from ..core.tunnel_protocols import request_line


class First(Enum):
    TLS_YET = auto()   # may still become a TLS record
    TLS = auto()
    HTTP_YET = auto()  # may still become a request line, or nothing has come
    HTTP = auto()
    OTHER = auto()


_BY_REQUEST_LINE = {None: First.HTTP_YET, True: First.HTTP, False: First.OTHER}


def recognise(client: bytes, server_spoke: bool) -> First:
    """`client` is all that the client has sent; a target that speaks first is no HTTP server."""
    if starts_like_tls_record(client):
        return First.TLS
    if client and len(client) < 3 and b"\x16\x03".startswith(client[:2]):
        return First.TLS_YET
    return First.OTHER if server_spoke else _BY_REQUEST_LINE[request_line(client)]
