"""What a tunnel carries, from its first octets.

Left to mitmproxy, one octet is enough to decide: a ClientHello or a request that arrives in small
pieces would be taken for neither, and pass without its server name or its path being looked at. So
the answer here is "not yet" for as long as the octets may still become one of the two.

Whatever is a TLS record of any kind and version counts as TLS, not only what mitmproxy would take
for a ClientHello: servers ignore a warning in front of it, and the version of its record (RFC 8446
section 5.1 demands that), and would find a server name behind them that nobody had judged.
"""

from __future__ import annotations

from enum import Enum, auto

from mitmproxy.tls import ClientHello

from ..core.tunnel_protocols import request_line

_TLS_TYPES = (b"\x14", b"\x15", b"\x16", b"\x17")  # RFC 8446 section 5.1


class First(Enum):
    TLS_YET = auto()   # may still become a TLS record
    TLS = auto()
    HTTP_YET = auto()  # may still become a request line, or nothing has come
    HTTP = auto()
    OTHER = auto()


_BY_REQUEST_LINE = {None: First.HTTP_YET, True: First.HTTP, False: First.OTHER}


def recognise(client: bytes, server_spoke: bool) -> First:
    """`client` is all that the client has sent; a target that speaks first is no HTTP server."""
    if client[:1] in _TLS_TYPES and client[1:2] in (b"", b"\x03"):
        return First.TLS if len(client) > 2 else First.TLS_YET
    return First.OTHER if server_spoke else _BY_REQUEST_LINE[request_line(client)]


def server_name(hello: ClientHello) -> str:
    """All that a ClientHello has for names (RFC 6066 section 3), "" where it has none.

    mitmproxy answers "none" for two names as well, and for one that it cannot read, while servers
    take the first or the last. Here both are a text that is no host.
    """
    block = getattr(hello._client_hello, "extensions", None)  # absent from hellos of TLS 1.0
    named = [each.body.server_names for each in (block.extensions if block else ())
             if each.type == 0]
    names = [name.host_name.decode("ascii", "backslashreplace") for each in named for name in each]
    return " ".join(names) or ("(no name)" if named else "")
