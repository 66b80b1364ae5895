"""Reading complaints: what somebody wrote about one of our addresses, as sightings.

Pure: octets in, `Complaint` out; nothing is looked up, fetched or opened. The content decides what
it is, unless the caller does. A complaint is written by a stranger, so everything about it is
bounded, and what was not understood is said together with where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from .json_form import NoJson, load_json
from .mail import parse_mail
from .moments import Clock
from .sighting import Complaint, Moment, Sighting, Unread, unread
from .text import parse_text
from .xarf import parse_xarf

__all__ = ["FORMS", "Clock", "Complaint", "Moment", "Sighting", "Unread", "parse"]

MAX_OCTETS = 16 * 1024 * 1024
MAX_SIGHTINGS = 2_000
MAX_UNREAD = 200
MAX_COMPARED = 100

_HEADER = re.compile(
    rb"(?i)(?:from|to|subject|date|received|return-path|mime-version|message-id|content-type|"
    rb"delivered-to|x-[\w-]{1,40}|dkim-signature|reply-to|cc|user-agent):[ \t]")
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")
_MAGIC = {b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "gzip", b"BZh": "bzip2",
          b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "a 7z archive",
          b"Rar!": "a RAR archive", b"%PDF": "a PDF", b"\x89PNG": "a picture",
          b"\xff\xd8\xff": "a picture", b"\xd0\xcf\x11\xe0": "an Office document or .msg"}


def parse(octets: bytes, clock: Clock, *, form: str = "",
          ours: frozenset[str] = frozenset()) -> Complaint:
    """What `octets` says. `form` one of FORMS, "" to find out; `ours` the addresses that it is
    about, if known, so that others are left alone. Never raises for any octets."""
    if len(octets) > MAX_OCTETS:
        return unread("", "", f"{len(octets):,} octets; more than {MAX_OCTETS:,} are not read: "
                              "give the lines with the address alone")
    for magic, what in _MAGIC.items():
        if octets.startswith(magic):
            return unread("", "", f"{what} is not opened; unpack it, and give what is in it")
    found = FORMS[form or _form_of(octets)][0](octets, clock, ours)
    return _bounded(_distinct(found))


def decoded(octets: bytes) -> str:
    """Text in the encodings that complaints come in."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if octets.startswith(mark):
            return octets.decode(encoding, "replace")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")


def _text(octets: bytes, clock: Clock, ours: frozenset[str]) -> Complaint:
    odd = len(octets) - len(octets.translate(None, _CONTROLS))
    if odd > len(octets) // 50 and not octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        return unread("", "", "this is not text; give the complaint's text, mail or JSON")
    return parse_text(decoded(octets), clock, ours)


def _mail(octets: bytes, clock: Clock, ours: frozenset[str]) -> Complaint:
    return parse_mail(octets, clock)


def _json(octets: bytes, clock: Clock, ours: frozenset[str]) -> Complaint:
    return parse_xarf(decoded(octets), clock)


Reader = Callable[[bytes, Clock, frozenset[str]], Complaint]
FORMS: dict[str, tuple[Reader, str]] = {
    "xarf": (_json, "XARF 3 or 4, or a JSON access log"),
    "mail": (_mail, "an e-mail: ARF, X-ARF, fail2ban, or a letter with attachments"),
    "text": (_text, "access logs, other log lines, tables, listings, letters"),
}


def _form_of(octets: bytes) -> str:
    head = octets.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:1] in (b"{", b"["):
        try:
            load_json(decoded(octets))
            return "xarf"
        except NoJson:
            return "text"
    lines = head[:4000].splitlines()[:20]
    if lines and lines[0].startswith(b"From "):  # an mbox's first line
        lines = lines[1:]
    fields = 0
    for line in lines:
        if _HEADER.match(line):
            fields += 1
        elif not line or (not line[:1].isspace() and b":" not in line):
            break
    return "mail" if fields >= 2 else "text"


def _distinct(found: Complaint) -> Complaint:
    """Sightings that say the same once, with how often; and without those that another one says
    all of, as the letter around a report does."""
    known: dict[tuple[object, ...], list[Sighting]] = {}
    for each in found.sightings:
        known.setdefault(each.said, []).append(each)
    kept = [group[0] if len(group) == 1 else
            replace(group[0], notes=(*group[0].notes, f"said {len(group)} times"))
            for group in known.values()]
    if len(kept) <= MAX_COMPARED:  # a letter, and what is attached to it
        kept = [each for n, each in enumerate(kept) if not any(
            each.implied_by(other) and (m < n or not other.implied_by(each))
            for m, other in enumerate(kept) if m != n)]
    return replace(found, sightings=tuple(kept))


def _bounded(found: Complaint) -> Complaint:
    notes = list(found.notes)
    if len(found.sightings) > MAX_SIGHTINGS:
        notes.append(f"only the first {MAX_SIGHTINGS:,} of {len(found.sightings):,} sightings "
                     "are used")
    if len(found.unread) > MAX_UNREAD:
        notes.append(f"{len(found.unread) - MAX_UNREAD:,} more parts could not be read")
    return replace(found, sightings=found.sightings[:MAX_SIGHTINGS],
                   unread=found.unread[:MAX_UNREAD], notes=tuple(notes))
