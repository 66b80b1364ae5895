"""A request as the controls see it: canonical once, at the edge, and free of mitmproxy's types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .destination import Host

METHODS = frozenset({
    "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET",
    "HEAD", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL",
    "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS", "ORDERPATCH", "PATCH", "POST", "PRI",
    "PROPFIND", "PROPPATCH", "PURGE", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "TRACE",
    "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
})
"""The registered methods (RFC 9110 section 16.1.1), and PURGE. Anything else in that place may be
what a client never meant to send there."""


class Way(StrEnum):
    """How the request came in. It says how much of it can be seen."""

    PLAIN = "plain"          # absolute-form HTTP: everything is visible
    CONNECT = "connect"      # the CONNECT itself: host and port only
    SOCKS = "socks5"         # a SOCKS5 CONNECT: host or address, and port
    INSPECTED = "inspected"  # HTTP inside TLS that the account agreed to have opened
    CLEAR = "clear"          # HTTP in clear inside a tunnel: everything is visible

    @property
    def opens_tunnel(self) -> bool:
        return self in (Way.CONNECT, Way.SOCKS)

    @property
    def in_tunnel(self) -> bool:
        return self in (Way.INSPECTED, Way.CLEAR)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password as sent. `repr` hides the password, so no log holds it by accident."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(name={self.name!r}, password=…)"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the client connects from; the connection id ties tunnels to their inner requests."""

    ip: str
    port: int
    connection: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """A target as named in `where` ("Host", ":authority", "SNI"); `port` None if none was given."""

    where: str
    host: Host
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    `host` and `port` are what will be dialled. `path` is path and query in origin form ("" where
    the request opens a tunnel). `names` are the other places where the client named its target:
    they must agree with `host`. `user_agent` is "" when absent. `route_fields` are the names of
    the fields by which the client claims where the message has been (Via, X-Forwarded-For, …).
    """

    way: Way
    method: str
    scheme: str
    host: Host
    port: int
    path: str
    source: Source
    user_agent: str = ""
    credentials: Credentials | None = None
    names: tuple[Name, ...] = ()
    route_fields: tuple[str, ...] = ()

    @property
    def origin(self) -> tuple[str, str, int]:
        """(scheme, host, port): what robots.txt rules bind (RFC 9309 section 2.3)."""
        return (self.scheme, self.host.text, self.port)

    @property
    def url(self) -> str:
        default = {"http": 80, "https": 443}.get(self.scheme)
        port = "" if self.port == default else f":{self.port}"
        return f"{self.scheme}://{self.host.uri}{port}{self.path or '/'}"
