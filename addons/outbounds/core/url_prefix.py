"""URL prefixes: what a list names below a host, and the one form in which paths are compared.

A prefix is a plain string prefix of path and query, as in Squid's url_regex ^ and unlike a path
segment: `http://host/a` matches /a, /a/b, /a?x and also /ab and /a.php. An entry that means a
directory ends in a slash: `http://host/a/` matches /a/ and /a/b, neither /a nor /ab.

Before they are compared, paths are made canonical on both sides, following the canonicalisation of
Google Safe Browsing (v4, "URLs and Hashing"), so that /%61dmin, /./admin, //admin and /%2561dmin
cannot dodge /admin: the fragment goes, percent-encoding is undone until none is left, dot segments
are resolved (RFC 3986 section 5.2.4), slashes in a row become one, and a backslash counts as a
slash, which is how some servers read it. A number sign that was encoded is written %23, because a
bare one begins a fragment. Letters keep their case; only servers know whether it matters. Bytes are
compared, so that é and %C3%A9 are one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .destination import BadHost, Host, parse_host

MAX_ROUNDS = 8
"""Layers of percent-encoding undone. Honest URLs have one or two; without a bound a long path
could be built that takes quadratic time."""

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SLASHES = re.compile(rb"[/\\]+")


def _unescape(text: bytes) -> bytes | None:
    for _ in range(MAX_ROUNDS):
        if b"%" not in text:
            return text
        plain = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)
        if plain == text:
            return text
        text = plain
    return None if _ESCAPE.search(text) else text


def readings(path: str) -> tuple[bytes, ...] | None:
    """Path and query of a URL as they are compared, in each way in which servers may read them;
    None if it has more than 8 layers of encoding.

    There is nearly always one. Servers disagree where a path ends that has dot segments or empty
    ones behind an encoded question mark, or a number sign, which does not belong into a request;
    such a path is more than one place, and at most six. A caller who finds several takes each that
    is denied, and none for a permission: nobody can tell which one is meant. None is taken for a
    denied place: such a path is written to hide what it is.
    """
    if _is_canonical(path):
        return (path.encode(),)
    target, number_sign, rest = path.partition("#")
    raw, question, query = target.partition("?")
    plain = _unescape(raw.encode("utf-8", "surrogateescape"))
    plain_query = _unescape(query.encode("utf-8", "surrogateescape"))
    if plain is None or plain_query is None:
        return None
    behind = b"?" + plain_query if question else b""
    first, encoded_question, second = plain.partition(b"?")
    found = [_resolved(plain) + behind]
    if encoded_question:
        found.append(_resolved(first) + b"?" + second + behind)
    # a bare number sign would be taken for a fragment again
    found = [each.replace(b"#", b"%23") for each in found]
    if number_sign and not question:
        # cut at the first, or not at all: at each of a thousand would be a thousand places
        whole = readings(f"{target}%23{rest.replace('#', '%23')}")
        if whole is None:
            return None
        found += whole
    return tuple(dict.fromkeys(found))


def canonical_path(path: str) -> bytes | None:
    """The one form in which path and query are compared; None if there is not one (`readings`).

    A fragment alone makes no difference. The result is its own canonical form.
    """
    found = readings(path)
    if found is None:
        return None
    first, *others = found
    return first if all(each.startswith(first + b"%23") for each in others) else None


def _is_canonical(path: str) -> bool:
    """True only if nothing is to be done, as for most paths: a tenth of the work of doing it."""
    return (path[:1] == "/" and path.isascii() and "%" not in path and "#" not in path
            and "//" not in path and "/." not in path and "\\" not in path)


def _resolved(path: bytes) -> bytes:
    """Without dot segments and empty ones."""
    kept: list[bytes] = []
    segments = _SLASHES.sub(b"/", path).split(b"/")
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    if segments[-1] in (b"", b".", b".."):
        kept.append(b"")  # they all name the directory
    return b"/" + b"/".join(kept)


@dataclass(frozen=True, slots=True)
class UrlPrefix:
    """`scheme` "" means any, `port` 0 means any; `path` is canonical."""

    scheme: str
    host: Host
    port: int
    path: bytes

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        path = self.path.decode("utf-8", "backslashreplace")
        return f"{self.scheme}://{self.host.uri}{port}{path}"


_PARTS = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?P<host>\[[^\]/?#]*\]|[^/?#:]*)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/.*)", re.IGNORECASE)


def parse_url_prefix(text: str) -> UrlPrefix:
    """`[http[s]://]host[:port]/path`. Raises ValueError with the problem as a phrase."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError("it is not of the form http://host/path")
    if "#" in text:
        raise ValueError("it has a fragment (#…), which no request carries")
    try:
        host = parse_host(parts["host"])
    except BadHost as error:
        raise ValueError(f"in its host, {error.problem}") from None
    port = int(parts["port"] or 0)
    if parts["port"] is not None and not 0 < port < 65536:
        raise ValueError(f"port {parts['port']} does not exist")
    path = canonical_path(parts["path"])
    if path is None:
        raise ValueError(f"it has more than {MAX_ROUNDS} layers of percent-encoding, "
                         "or dot segments behind an encoded question mark")
    if path == b"/":
        raise ValueError("its path is all of the host, and tunnels would still get through")
    return UrlPrefix((parts["scheme"] or "").lower(), host, port, path)
