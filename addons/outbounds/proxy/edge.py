"""The edge: a mitmproxy flow becomes a core Request, canonical once, or is malformed.

What is dialled is `flow.request.host` (in a tunnel: the CONNECT target). Host, `:authority` and
SNI are what the client says; they travel as `names` and must agree.
"""

from __future__ import annotations

from functools import lru_cache

from mitmproxy import connection, http
from mitmproxy.net.http import url

from ..core.destination import BadHost, parse_host
from ..core.request import Credentials, Name, Request, Source, Way
from ..identity.basic import MALFORMED, parse_basic
from .route_fields import RouteFields

# Fields that belong to one hop. Proxy-Authorization would hand the customer's password to the
# target; Proxy-Connection is a mistake of old browsers that some servers still act on.
HOP_FIELDS = frozenset({b"proxy-authorization", b"proxy-connection", b"proxy-authenticate"})

class Malformed(ValueError):
    """The request has no single meaning. The message is for the customer, without its secrets."""


def source_of(client: connection.Client) -> Source:
    ip, port, *_ = client.peername
    return Source(ip.partition("%")[0], port, client.id)


def values(request: http.Request, name: bytes) -> list[str]:
    """Every value of the field `name`, which is in lower case. What `headers.get_all` returns, in
    a fifth of its time."""
    return [value.decode("utf-8", "surrogateescape")
            for key, value in request.headers.fields if key.lower() == name]


def take_credentials(request: http.Request) -> Credentials | None:
    """Read Proxy-Authorization and remove every trace of it from the flow.

    Removed before anything else may look at the flow, so that no dump, no log line and no target
    ever sees it. Raises Malformed if it is sent twice.
    """
    fields = values(request, b"proxy-authorization")
    kept = tuple(each for each in request.headers.fields if each[0].lower() not in HOP_FIELDS)
    if len(kept) < len(request.headers.fields):
        request.headers.fields = kept
    if len(fields) > 1:
        raise Malformed("Proxy-Authorization is sent more than once.")
    # a header that cannot be read is a failed attempt, not the absence of one: otherwise it would
    # fall back on the source network
    return (parse_basic(fields[0]) or MALFORMED) if fields else None


def http_request(flow: http.HTTPFlow, way: Way, credentials: Credentials | None,
                 route_fields: RouteFields) -> Request:
    """The core Request of a flow. Raises Malformed."""
    request = flow.request
    try:
        host = parse_host(request.host)
    except BadHost as error:
        raise Malformed(str(error)) from None
    if not 0 < request.port < 65536:
        raise Malformed(f"Port {request.port} does not exist.")
    if way.opens_tunnel:
        scheme = "http" if request.port == 80 else "https"
        path = ""
    else:
        scheme, path = request.scheme, request.path
        # HTTP/2 can send any (RFC 9113 section 8.3.1), and servers see a slash in front of it
        if not path.startswith("/") and path != "*":
            raise Malformed("The path of the request does not begin with a slash.")
    # CONNECT's own target is its authority; a Host beside it says what a Host inside will say
    return Request(
        # not `request.method`, which is in upper case whatever will be sent
        way, request.data.method.decode("ascii", "replace"), scheme, host, request.port, path,
        source_of(flow.client_conn), ", ".join(values(request, b"user-agent")), credentials,
        _names(flow, way), route_fields.found(request))


def _names(flow: http.HTTPFlow, way: Way) -> tuple[Name, ...]:
    request = flow.request
    hosts = values(request, b"host")
    if len(hosts) > 1:
        raise Malformed("Host is sent more than once.")
    names = [_name("Host", value) for value in hosts]
    if request.authority and not way.opens_tunnel:
        names.append(_name(":authority", request.authority))
    if request.is_http2 and not names:  # RFC 9113 section 8.3.1; HTTP/1 is seen to by http1_guard
        raise Malformed("The request has neither :authority nor Host.")
    if way is Way.INSPECTED and flow.client_conn.sni:
        names.append(_name("SNI", flow.client_conn.sni))
    return tuple(names)


@lru_cache(maxsize=4096)
def _name(where: str, authority: str) -> Name:
    try:
        host, port = url.parse_authority(authority, check=True)
        return Name(where, parse_host(host), port)
    except ValueError:  # BadHost is one
        raise Malformed(f"{where} does not name a host.") from None

