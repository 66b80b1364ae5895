"""What a complaint says: somebody saw one of our addresses do something at some time.

Complaints are written by people and by a hundred programs, and say less than they seem to: a time
without a zone, an address without a port, a date that two continents read differently. A
`Sighting` keeps every reading that the words allow, each with what was assumed for it, instead of
the likeliest one: a reading that was dropped here would be an account that is never found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MICROSECOND = 1_000_000
"""Times here are integers, Unix microseconds, both ends included."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of a time: it was somewhere from `earliest` to `latest`. `note` says what this
    reading assumes, as a sentence without its full stop; "" where nothing was assumed."""

    earliest: int
    latest: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """`address` is ours as the complainant saw it, canonical. `moments` are alternatives: one of
    them is true; none means that no time was given. `target` is the host (canonical name or
    address) that was reached, and `path` begins with "/" and holds no query. `source` says where
    in the complaint this stands; `notes` are sentences about what was assumed."""

    address: str
    port: int | None = None
    moments: tuple[Moment, ...] = ()
    target: str = ""
    target_port: int | None = None
    method: str = ""
    path: str = ""
    status: int | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    def placed(self, source: str) -> Sighting:
        """The same, found at `source`; a place inside it stays behind it."""
        return replace(self, source=_place(source, self.source))

    def implied_by(self, other: Sighting) -> bool:
        """Whether `other` says all of it, and says it no less exactly."""
        mine = (self.port, self.target, self.target_port, self.method, self.path, self.status)
        theirs = (other.port, other.target, other.target_port, other.method, other.path,
                  other.status)
        return self.address == other.address and all(
            a in (None, "", b) for a, b in zip(mine, theirs, strict=True)) and (
            not self.moments or any(
                wide.earliest <= each.earliest and each.latest <= wide.latest
                for wide in self.moments for each in other.moments))

    @property
    def said(self) -> tuple[object, ...]:
        """What it says, without where it stands: two that say the same are one."""
        return (self.address, self.port, tuple((each.earliest, each.latest)
                                              for each in self.moments),
                self.target, self.target_port, self.method, self.path, self.status)


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the complaint that yields no sighting though it looks as if it should. `text` is
    as it came, at most 200 characters: print it with care."""

    source: str
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """`form` is the format as people call it. `notes` are about the whole of it."""

    form: str
    sightings: tuple[Sighting, ...] = ()
    unread: tuple[Unread, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Complaint) -> Complaint:
        """Both, in order, and the forms of both; "text" is what everything else is, too."""
        forms = [each for whole in (self, other) for each in whole.form.split(" with ") if each]
        special = [each for each in forms if each != "text"] or forms
        return Complaint(" with ".join(dict.fromkeys(special)),
                         self.sightings + other.sightings, self.unread + other.unread,
                         tuple(dict.fromkeys(self.notes + other.notes)))

    def placed(self, source: str) -> Complaint:
        return replace(
            self, sightings=tuple(each.placed(source) for each in self.sightings),
            unread=tuple(replace(each, source=_place(source, each.source))
                         for each in self.unread))


def _place(outer: str, inner: str) -> str:
    return ", ".join(each for each in (outer, inner) if each)


def unread(source: str, text: str, why: str) -> Complaint:
    """A complaint of nothing but this fault."""
    return Complaint("", unread=(Unread(source, " ".join(text[:200].split()), why),))
