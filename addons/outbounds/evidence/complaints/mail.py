"""A complaint that came as an e-mail: ARF (RFC 5965, RFC 6692), XARF and X-ARF as attachments,
fail2ban's mails, letters.

The `email` package of the standard library takes the message apart. Archives are not opened, and
no part is read that is larger or deeper than a complaint needs to be. Dates without a year are read
by the mail's own date, not by today's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import Message
from html.parser import HTMLParser

from .addresses import find as find_addresses
from .addresses import port_of
from .moments import DAY, Clock, read, utc_offset
from .named_fields import sighting_of
from .sighting import Complaint, Moment, Sighting, unread
from .text import parse_text
from .xarf import parse_xarf

MAX_PARTS = 64
MAX_DEPTH = 8
_HOUR = 3600 * 1_000_000
# a message with hundreds of nested parts makes the parser recurse; what opens a part is counted
_NESTED = re.compile(rb"(?im)^content-type:\s{0,4}(?:message|multipart)/")
MAX_NESTED = 100


def parse_mail(octets: bytes, clock: Clock) -> Complaint:
    """Every part of it that can be read, one after the other."""
    if len(_NESTED.findall(octets)) > MAX_NESTED:
        return unread("", "", f"a mail of more than {MAX_NESTED} nested parts is not taken apart")
    try:
        # compat32 reads header fields as they are; the newer policy parses each into a structure,
        # in time that grows with the square of a hostile one
        message = message_from_bytes(octets, policy=policy.compat32)
        return _message(message, clock)
    except (RecursionError, MessageError, ValueError, LookupError) as error:
        return unread("", "", f"the mail cannot be taken apart: {type(error).__name__}: "
                              f"{str(error)[:80]}")


def _message(message: Message, clock: Clock) -> Complaint:
    sent = _date(message, clock)
    inside = replace(clock, mail=True)
    if sent is not None and sent.earliest <= clock.now + DAY:
        inside = replace(inside, now=sent.latest)
    found = Complaint("mail")
    parts = list(_parts(message, "", 0))
    plain = any(kind == "text/plain" for _, kind, _ in parts)
    kinds = [kind for _, kind, _ in parts]
    if "message/feedback-report" in kinds:
        # RFC 5965 section 2: first comes the same for people, with whatever links they may like
        parts = parts[kinds.index("message/feedback-report"):]
    feedback = None
    for where, kind, part in parts[:MAX_PARTS]:
        if kind == "message/feedback-report":
            feedback = _feedback(part, inside).placed(where)
            found = feedback + found
        elif kind in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers"):
            if feedback is not None:
                found = _received(found, part, inside)
        elif kind == "text/html" and plain:
            continue
        else:
            ours = frozenset(each.address for each in found.sightings)
            found += _part(part, kind, inside, ours, message).placed(where)
    if len(parts) > MAX_PARTS:
        found += unread("", "", f"only the first {MAX_PARTS} parts are read")
    if feedback is not None:
        found = replace(found, form="ARF (RFC 5965)")
    elif {"x-xarf", "x-arf"} & {name.lower() for name in message}:
        found = replace(found, form="X-ARF")
    return _banned_now(found, message, sent)


def _parts(part: Message, where: str, depth: int) -> Iterator[tuple[str, str, Message]]:
    """(place, type, part) of each part that is not a container."""
    kind = part.get_content_type()
    payload = part.get_payload()
    if part.get_content_maintype() == "multipart" and isinstance(payload, list):
        if depth >= MAX_DEPTH:
            return
        for number, inner in enumerate(payload[:MAX_PARTS], 1):
            if isinstance(inner, Message):
                yield from _parts(inner, f"part {number}" if not where else f"{where}.{number}",
                                  depth + 1)
    else:
        yield where, kind, part


def _part(part: Message, kind: str, clock: Clock, ours: frozenset[str],
          message: Message) -> Complaint:
    name = str(part.get_filename() or "")[:80]
    if kind.startswith("image/"):
        return unread("", name, "a picture is not read; type off what it shows")
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return Complaint("")
    text = _decoded(octets, str(part.get_content_charset() or "utf-8"))
    if kind == "application/json" or name.lower().endswith(".json") \
            or (kind.startswith("text/") and text.lstrip()[:1] == "{"):
        return parse_xarf(text, clock)
    if kind == "text/html":
        text = _without_tags(text)
    elif not kind.startswith("text/") and not name.lower().endswith((".txt", ".log", ".csv")):
        what = "archives are not opened" if re.search(
            r"zip|gzip|tar|compress|7z|rar", f"{kind} {name}") else "not read"
        return unread("", name, f"attachment of type {kind}: {what}; give its content as a file")
    if "just been banned by Fail2Ban" in text and not clock.zone:
        # fail2ban writes the mail's date on the machine whose log lines these are
        zone = _zone(message)
        if zone:
            clock = replace(clock, zone=zone, why="the mail's own, from the same machine")
    return parse_text(text, clock, ours)


def _feedback(part: Message, clock: Clock) -> Complaint:
    """RFC 5965 section 3: fields like those of a mail. Source-IP, Source-Port (RFC 6692),
    Arrival-Date, or Received-Date as it was called before."""
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else part
    assert isinstance(inner, Message)
    fields = [(name, str(value)) for name, value in inner.items()]
    if not fields or "source-ip" not in {name.lower() for name, _ in fields}:
        text = str(inner.get_payload())
        fields = [(name, value.strip()) for line in text.splitlines()
                  for name, colon, value in [line.partition(":")] if colon] + fields
    return sighting_of(fields, clock, "", text="; ".join(f"{a}: {b}" for a, b in fields))


def _received(found: Complaint, part: Message, clock: Clock) -> Complaint:
    """With the server and the time that the Received field with our address in it gives, where
    the report gives none."""
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else None
    if not isinstance(inner, Message):
        octets = part.get_payload(decode=True)
        inner = message_from_bytes(octets if isinstance(octets, bytes) else b"",
                                   policy=policy.compat32)
    lines = [str(line)[:2000] for line in inner.get_all("Received") or []]

    def filled(sighting: Sighting) -> Sighting:
        for line in lines:
            if sighting.address not in {each.address for each in find_addresses(line)}:
                continue
            stated = read(line.rpartition(";")[2], clock)
            by = re.search(r"\bby ([\w.-]{1,253})", line)
            port = re.search(r"\bport=(\d{1,5})\b", line)  # as Exim writes it
            return replace(
                sighting, port=sighting.port or (port_of(port[1]) if port else None),
                moments=sighting.moments or (stated.moments if stated else ()),
                target=sighting.target or (by[1].lower() if by and "." in by[1] else ""))
        return sighting

    return replace(found, sightings=tuple(filled(each) for each in found.sightings))


def _banned_now(found: Complaint, message: Message, sent: Moment | None) -> Complaint:
    """fail2ban's mail without log lines: it was sent when the address was banned."""
    if sent is None or not found.form.endswith("fail2ban"):
        return found
    since = Moment(sent.earliest - _HOUR, sent.latest,
                   "no line of a log is there: the hour before the mail was sent")
    return replace(found, form="fail2ban", sightings=tuple(
        each if each.moments else replace(each, moments=(since,)) for each in found.sightings))


def _date(message: Message, clock: Clock) -> Moment | None:
    stated = read(str(message.get("Date", ""))[:100], replace(clock, mail=True))
    return stated.moments[0] if stated and stated.moments else None


def _zone(message: Message) -> str:
    found = re.search(r"([+-])(\d\d)(\d\d)\s{0,4}(?:\(|$)", str(message.get("Date", ""))[:100])
    if found is None or found[0].startswith("-0000"):
        return ""
    seconds = (int(found[2]) * 60 + int(found[3])) * 60
    return utc_offset(-seconds if found[1] == "-" else seconds)


def _decoded(octets: bytes, charset: str) -> str:
    try:
        return octets.decode(charset, "replace")
    except LookupError:
        return octets.decode("latin-1")


class _Text(HTMLParser):
    """The text of a page, a line for each block."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0
        self._kept = 0  # inside <pre>, where line breaks count

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")
        self._kept += tag == "pre"
        if tag in ("p", "br", "div", "tr", "li", "h1", "h2", "h3", "pre", "table"):
            self.parts.append("\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0
        self._kept -= tag == "pre" and self._kept > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data if self._kept else " ".join(data.split("\n")))


def _without_tags(page: str) -> str:
    parser = _Text()
    parser.feed(page[:1_000_000])
    return "".join(parser.parts)
