"""What a tunnel carries, from its first octets.

Left to mitmproxy, one octet is enough to decide: a ClientHello or a request that arrives in small
pieces would be taken for neither, and pass without its server name or its path being looked at. So
the answer here is "not yet" for as long as the octets may still become one of the two.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from mitmproxy.net.tls import starts_like_tls_record

# an incomplete request line that is longer than this is none (http1_guard bounds heads, too)
MAX_LINE = 65_536

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"  # RFC 9110 section 5.6.2
# RFC 9112 section 2.2: servers ignore empty lines in front
_REQUEST = re.compile(rb"(?:\r?\n)*%b+ [^\n]* HTTP/[^\n]*\n" % _TOKEN)
_REQUEST_YET = re.compile(rb"(?:\r?\n)*(?:\r?|%b{1,64}(?: [^\n]*)?)" % _TOKEN)


class First(Enum):
    TLS_YET = auto()   # may still become a TLS record
    TLS = auto()
    HTTP_YET = auto()  # may still become a request line, or nothing has come
    HTTP = auto()
    OTHER = auto()


def recognise(client: bytes, server_spoke: bool) -> First:
    """`client` is all that the client has sent; a target that speaks first is no HTTP server."""
    if starts_like_tls_record(client):
        return First.TLS
    if client and len(client) < 3 and b"\x16\x03".startswith(client[:2]):
        return First.TLS_YET
    if server_spoke:
        return First.OTHER
    if _REQUEST.match(client):
        return First.HTTP
    if len(client) < MAX_LINE and _REQUEST_YET.fullmatch(client):
        return First.HTTP_YET
    return First.OTHER
