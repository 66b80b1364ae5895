"""A line of a web server's access log: Apache's common and combined formats, nginx's, and what
operators make of them.

Formats are configured, so the line is not matched as a whole: it is cut into words, "quoted
strings" and [brackets], and recognised by what must be there: a bracketed time, and behind it a
quoted request or nothing that looks like one. Before it stand the client, perhaps with its port,
and perhaps the virtual host; behind it the request, the status, and the fields that say their name.
"""

from __future__ import annotations

import re

from .addresses import canonical, find, port_of
from .moments import Clock
from .moments import find as find_times
from .named_fields import host_and_port, request_line
from .sighting import Complaint, Sighting, unread

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\[([^\]]*)\]|(\S+)')
_MOST_WORDS = 64


def words(line: str) -> list[tuple[str, str]]:
    """(kind, text) of each part: "quoted", "bracketed" or "word"."""
    found = []
    for match in _WORD.finditer(line):
        quoted, bracketed, word = match.groups()
        found.append(("quoted", quoted) if quoted is not None else
                     ("bracketed", bracketed) if bracketed is not None else ("word", word))
        if len(found) == _MOST_WORDS:
            break
    return found


def parse_access_line(line: str, clock: Clock, source: str) -> Complaint | None:
    """None where it is no access line."""
    # an address in brackets with its port is one word
    parts = words(re.sub(r"\[([0-9A-Fa-f:.]{2,45})\]:(\d{1,5})(?=\s)", r"\1#\2", line, count=4))
    when = next((n for n, (kind, text) in enumerate(parts)
                 if kind == "bracketed" and re.match(r"\d{1,2}/[A-Z][a-z]{2}/\d{4}:", text)), None)
    if when is None or when == 0:
        return None
    times = list(find_times(parts[when][1], clock))
    client = next((n for n, (_, text) in enumerate(parts[:when]) if _endpoint(text)[0]), None)
    if client is None:
        return unread(source, line, f"the client is {parts[0][1][:60]!r}, a name: an access log "
                      "that looks names up does not say which address it was; ask for the address")
    address, port = _endpoint(parts[client][1])
    if port is None and client + 1 < when:
        port = port_of(parts[client + 1][1])  # where the identity stands that nobody has
    target, target_port = host_and_port(parts[client - 1][1]) if client else ("", None)
    method = path = ""
    status = None
    for kind, text in parts[when + 1:]:
        if kind == "quoted" and not method:
            method, path = request_line(text)
            if method and not target and (method == "CONNECT" or "://" in text[:50]):
                target, target_port = host_and_port(text.split(" ")[1])
        elif kind == "word" and status is None and re.fullmatch(r"[1-5]\d\d", text):
            status = int(text)
        elif kind == "word" and "=" in text:
            name, _, value = text.partition("=")
            name = re.sub(r"[^a-z]", "", name.lower())
            if name in ("port", "clientport", "remoteport", "sport", "srcport", "rport", "cport"):
                port = port or port_of(value.strip('",'))
            elif name in ("host", "vhost", "servername"):
                target, target_port = host_and_port(value.strip('",'))
    stated = times[0] if times else None
    if stated is None or not stated.moments:
        why = "; ".join(stated.notes) if stated else "it is none"
        return unread(source, line, f"the time [{parts[when][1][:40]}]: {why}")
    return Complaint("access log", (Sighting(
        address, port, stated.moments, target, target_port, method, path, status, source,
        stated.notes),))


def _endpoint(text: str) -> tuple[str, int | None]:
    text = text.strip('"')
    address, _, port = text.partition("#")
    if canonical(address):
        return canonical(address), port_of(port)
    found = list(find(text))
    if len(found) == 1 and found[0].start == 0 and found[0].end >= len(text) - 1:
        return found[0].address, found[0].port
    return "", None
