"""Response policy zones: DNS master files (RFC 1035 section 5) whose names are triggers.

From draft-vixie-dnsop-dns-rpz, sections 3 and 4, relative to the zone's own name:

    example.com        CNAME .             that name alone is denied (NXDOMAIN)
    *.example.com      CNAME .             everything below it, and not the name itself
    …                  CNAME *.            the same (NODATA), and with rpz-drop.
    …                  A 192.0.2.1         the same: the name is given an answer of the zone's own
    …                  CNAME rpz-passthru. an exception, from denials that are not narrower
    24.0.2.0.192.rpz-ip CNAME .            targets with an address in 192.0.2.0/24

Triggers about name servers and clients are unsupported, as is rpz-tcp-only.: a proxy answers no
query. The zone's name is that of its SOA or the first $ORIGIN; where both leave it open (`@ SOA`),
names without a final dot are what they seem.

A record may go over several lines in parentheses; the lines share its fate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

from ...core.list_entry import Effect, Entry, Kind
from ..report import BadLine, BadList, Report, Unsupported
from . import entries
from .lines import Batch, Source, keep

_TTL = re.compile(r"[0-9]+|(?:[0-9]+[smhdw])+", re.IGNORECASE)
_PAREN = str.maketrans("()", "  ")
_OWN_TYPES = frozenset({"SOA", "NS"})
_ANSWERS = frozenset({"A", "AAAA"})
_TRIGGERS = {"rpz-nsdname": "a trigger on name servers", "rpz-nsip": "a trigger on name servers",
             "rpz-client-ip": "a trigger on clients"}
_MOST = 256  # lines of one record; nothing in a policy zone needs so many


class _Zone:
    """The state that lines of a master file have in common."""

    def __init__(self) -> None:
        self.apex: str | None = None
        self.origin = ""
        self.owner: str | None = None

    def parse(self, record: str, number: int) -> Iterable[Entry]:
        """The entries of a record without its comments; white space in front counts."""
        words = record.split()
        if record[0] == "$":
            self._directive(words)
            return ()
        if record[0].isspace():
            if self.owner is None:
                raise BadLine("a record without an owner before it")
        else:
            self.owner = self._absolute(words.pop(0))
        owner = self.owner
        while words and (_TTL.fullmatch(words[0]) or words[0].upper() == "IN"):
            words.pop(0)
        if len(words) < 2:
            raise BadLine("it is no record: name, type and data")
        kind, data = words[0].upper(), words[1].lower()
        if kind == "SOA" and self.apex is None:
            self.apex = owner.removesuffix(".")
        if kind in _OWN_TYPES:
            return ()
        return (self._entry(self._trigger(owner), kind, data, number),)

    def _directive(self, words: list[str]) -> None:
        match words[0].upper(), len(words):
            case "$TTL", 2:
                return
            case "$ORIGIN", 2:
                self.origin = self._absolute(words[1])
                if self.apex is None:
                    self.apex = self.origin.removesuffix(".")
            case _:
                raise BadLine("a directive that is not read here, which are $TTL and $ORIGIN")

    def _absolute(self, name: str) -> str:
        """With a final dot where the name is known to the root; RFC 1035 section 5.1."""
        name = name.lower()
        if name == "@":
            return self.origin
        if name.endswith(".") or not self.origin:
            return name
        return f"{name}.{self.origin}"

    def _trigger(self, name: str) -> str:
        if not name.endswith("."):
            return name
        if not self.apex:
            raise BadLine("a name with a final dot, and nothing says what the zone is called")
        found = name.removesuffix(f".{self.apex}.")
        if found == name:
            raise BadLine("a name outside of the zone")
        return found

    def _entry(self, trigger: str, kind: str, data: str, number: int) -> Entry:
        effect = Effect.ALLOW if (kind, data) == ("CNAME", "rpz-passthru.") else Effect.DENY
        head, _, last = trigger.rpartition(".")
        if last in _TRIGGERS:
            raise Unsupported(_TRIGGERS[last])
        if kind == "CNAME" and data == "rpz-tcp-only.":
            raise Unsupported("an action for DNS over UDP")
        if kind != "CNAME" and kind not in _ANSWERS:
            raise Unsupported("an answer of another type than CNAME, A and AAAA")
        if last == "rpz-ip":
            return entries.network(_network(head), number, effect)
        if trigger == "*":
            raise entries.everything()
        name = trigger.removeprefix("*.")
        return entries.name(Kind.HOST if name == trigger else Kind.BELOW, name, number, effect)


def _network(text: str) -> str:
    """`24.0.2.0.192` as 192.0.2.0/24; `48.zz.db8.2001` as 2001:db8::/48 (section 4.1.1)."""
    length, *parts = text.split(".")
    parts.reverse()
    if len(parts) == 4 and "zz" not in parts:
        return f"{'.'.join(parts)}/{length}"
    if parts.count("zz") > 1:
        raise BadLine("an address with zz in it twice")
    address = ":".join("" if part == "zz" else part for part in parts)
    if parts[:1] == ["zz"]:
        address = ":" + address
    if parts[-1:] == ["zz"]:
        address += ":"
    try:
        return f"{IPv6Address(address)}/{length}"
    except ValueError:
        raise BadLine("it is no address of the form 24.0.2.0.192.rpz-ip") from None


def _uncommented(line: str) -> str:
    """Without the comment at its end. A semicolon in quotes, as TXT records have, begins none."""
    if '"' not in line:
        return line.partition(";")[0].rstrip()
    parts = line.split('"')
    for index in range(0, len(parts), 2):
        if ";" in parts[index]:
            parts[index:] = [parts[index].partition(";")[0]]
            break
    return '"'.join(parts).rstrip()


class Rpz:
    def read(self, source: Source, report: Report) -> Iterator[Batch]:
        zone = _Zone()
        open_record: list[str] = []
        began = depth = 0
        for first, text in source.blocks():
            found: list[Entry] = []
            for number, raw in enumerate(text[:-1].split("\n"), first):
                report.lines += 1
                line = _uncommented(raw)
                if not open_record:
                    if not line:
                        report.comments += 1
                        continue
                    began = number
                open_record.append(line)
                if len(open_record) > _MOST:
                    raise BadList(f"{source.name}:{began}: the parenthesis is not closed within "
                                  f"{_MOST} lines; the zone is broken or cut")
                depth += line.count("(") - line.count(")")
                if depth > 0:
                    continue
                found += keep(zone.parse, " ".join(open_record).translate(_PAREN), began,
                              source.name, report, len(open_record))
                open_record, depth = [], 0
            yield found
        if open_record:
            raise BadList(f"{source.name}:{began}: the parenthesis is never closed, so the zone "
                          "was cut; fetch it again")


RPZ = Rpz()
