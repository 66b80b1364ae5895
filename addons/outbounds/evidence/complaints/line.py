"""One line of a complaint, of no format in particular: an sshd message, a firewall's SRC=… SPT=…,
nginx's error log, tcpdump, a sentence.

Two addresses in a line are the one who did it and the one it was done to. Which is which is told
by the words before them, by an arrow between them, or by their order; the addresses that the
complaint as a whole is about (`ours`) settle it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .addresses import Found, refanged
from .addresses import find as find_addresses
from .moments import Clock, Stated
from .moments import find as find_times
from .named_fields import host_and_port, request_line, role_of
from .sighting import MICROSECOND, Moment

_FIELD = re.compile(r'(?<![\w.@-])([A-Za-z_@][\w.@-]{0,40})=("[^"]{0,2000}"|[^\s"]{1,2000})')
_ITS = re.compile(r"(?:\b(?:to|dst|dest|destination|target|server|towards|against|onto|victim|at)"
                  r"(?:\s(?:ip|host|address|server|\w{1,16}:))?|>|→|⇒)[\s:=(\"'\[]{0,3}$",
                  re.IGNORECASE)
_DID = re.compile(r"(?:\b(?:from|src|source|client|by|attacker|rhost|remote|offender|peer|ip|rip)"
                  r"(?:\s(?:ip|host|address))?)[\s:=(\"'\[]{0,3}$", re.IGNORECASE)
_PORTS = {  # the ends of a connection in words
    "port": re.compile(r"\b(?:source|src|client|remote)[\s_-]?port[\s:=]{1,3}(\d{1,5})\b", re.I),
    "target_port": re.compile(
        r"\b(?:destination|dest|dst|target|server)[\s_-]?port[\s:=]{1,3}(\d{1,5})\b", re.I),
}
_REQUEST = re.compile(r'"([A-Z][A-Z_-]{1,30} [^"\s]{1,4000})(?: HTTP/[\d.]{1,4})?"')
_HOST = re.compile(r'\bhost: "?([\w.\[\]:-]{1,255})"?')
_SERVER = re.compile(r'\bserver: "?([\w.-]{1,255})"?,')
_URL = re.compile(r"\bhttps?://[^\s\"'<>]{1,2000}")
_MARGIN = re.compile(r"(?:\+/-|±|\+-|plus or minus)\s{0,2}(\d{1,4})\s{0,2}"
                     r"(s|sec|seconds?|m|min|minutes?|h|hours?)\b", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SPAN = re.compile(r"\b(?:between|first|from|until|through|last|bis)\b|\s-\s|\sto\s", re.IGNORECASE)


@dataclass(slots=True)
class Read:
    """What one line says: `fields` are (name, value) of what names itself, `extra` role to value
    of what was recognised; `addresses` those that no field names; `moments` of all its times."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    addresses: list[Found] = field(default_factory=list)
    moments: tuple[Moment, ...] = ()
    notes: tuple[str, ...] = ()
    bad_time: bool = False

    @property
    def names_address(self) -> bool:
        return "address" in self.extra or any(role_of(name)[0] == "address"
                                              for name, _ in self.fields)


def read_line(line: str, clock: Clock, ours: frozenset[str] = frozenset()) -> Read:
    line = refanged(line)
    read = Read(fields=[(name, value.strip('"')) for name, value in _FIELD.findall(line)
                        if role_of(name)[0]])
    _times(line, clock, read)
    read.addresses = list(find_addresses(line))
    source, target = _ends(line, read.addresses, ours)
    if source is not None:
        read.extra["address"] = source.address
        if source.port is not None:
            read.extra["port"] = str(source.port)
    for name, pattern in _PORTS.items():
        if found := pattern.search(line):
            read.extra[name] = found[1]
    if target is not None:
        read.extra.setdefault("target", target.address)
        if target.port is not None:
            read.extra.setdefault("target_port", str(target.port))
    if found := _REQUEST.search(line):
        method, path = request_line(found[1])
        if method:
            read.extra |= {"method": method, "path": path}
    for pattern in (_HOST, _SERVER):
        found = pattern.search(line)
        if found and host_and_port(found[1])[0]:
            read.extra["target"] = found[1]
            break
    else:
        if (found := _URL.search(line)) and target is None:
            url = found[0].rstrip(".,;:!?)]")  # the sentence's
            read.extra["target"] = url
            read.extra.setdefault("path", url)
    return read


def _times(line: str, clock: Clock, read: Read) -> None:
    stated = list(find_times(line, clock))
    if not stated:
        return
    notes = dict.fromkeys(note for each in stated for note in each.notes)
    read.bad_time = not any(each.moments for each in stated)
    moments = _span(line, stated) or tuple(
        moment for each in stated for moment in each.moments)
    if margin := _MARGIN.search(line):
        by = int(margin[1]) * _SECONDS[margin[2][0].lower()] * MICROSECOND
        moments = tuple(Moment(each.earliest - by, each.latest + by, each.note)
                        for each in moments)
        notes[f"the complaint itself says {margin[0].strip()}"] = None
    elif len(stated) > 1 and len(moments) > 1 and not _SPAN.search(line):
        notes[f"the line holds {len(stated)} times; each was looked for"] = None
    read.moments, read.notes = moments, tuple(notes)


def _span(line: str, stated: list[Stated]) -> tuple[Moment, ...]:
    """Two times with "between … and …" or the like about them are one moment."""
    if len(stated) != 2 or not (stated[0].moments and stated[1].moments):
        return ()
    if not _SPAN.search(line[max(0, stated[0].start - 40):stated[1].start]):
        return ()
    return tuple(Moment(a.earliest, b.latest, a.note or b.note)
                 for a, b in zip(stated[0].moments, stated[1].moments, strict=False)
                 if a.earliest <= b.latest)


def _ends(line: str, found: list[Found],
          ours: frozenset[str]) -> tuple[Found | None, Found | None]:
    """(who did it, to whom)."""
    if not found:
        return None, None
    before = [line[max(0, each.start - 24):each.start] for each in found]
    source = next((each for each in found if each.address in ours), None)
    if source is None and ours:
        return None, None
    if source is None:
        source = next((each for each, text in zip(found, before, strict=True)
                       if _DID.search(text) and not _ITS.search(text)), None)
    if source is None:
        source = next((each for each, text in zip(found, before, strict=True)
                       if not _ITS.search(text)), None)
    target = next((each for each, text in zip(found, before, strict=True)
                   if each is not source and _ITS.search(text)), None)
    return source, target
