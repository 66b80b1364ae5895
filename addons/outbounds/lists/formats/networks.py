"""Lists of addresses: Spamhaus DROP, FireHOL netsets, and plain ranges.

    drop-text  1.10.16.0/20 ; SBL256894       spamhaus.org/drop/drop.txt
    drop-json  {"cidr":"1.10.16.0/20",…}      spamhaus.org/drop/drop_v4.json, an object a line;
                                              the last is about the file itself
    netset     192.0.2.0/24 or 192.0.2.7      iplists.firehol.org, *.netset and *.ipset
    ranges     192.0.2.1-192.0.2.9            also with a name before it (`name:a-b`, as lists for
                                              file sharing have), CIDR and bare addresses

Which networks are too wide to be believed is told in `entries`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import msgspec

from ...core.address import Network, reduced_network
from ...core.list_entry import Entry, Kind
from ..report import BadLine, BadList, Report, Unsupported
from . import entries
from .lines import Batch, LineFormat, Source, keep


def _netset(line: str, number: int) -> Iterable[Entry]:
    return (entries.network(line.partition("#")[0].rstrip(), number),)


def _drop_text(line: str, number: int) -> Iterable[Entry]:
    return (entries.network(line.partition(";")[0].rstrip(), number),)


def _ranges(line: str, number: int) -> Iterable[Entry]:
    text = line.partition("#")[0].rstrip()
    low, dash, high = text.rpartition("-")
    if not dash:
        return _netset(line, number)
    first, last = low.strip(), high.strip()
    if "." in last:
        first = first.rpartition(":")[2].strip()  # the name in front of an IPv4 range
    return [Entry(Kind.NETWORK, entries.check_network(reduced_network(each)), number)
            for each in _networks(first, last)]


def _networks(first: str, last: str) -> Sequence[Network]:
    """The networks that a range is made of: at most two for each bit of an address."""
    try:
        if "%" in first + last:
            raise ValueError
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
        return tuple(cast(Iterator[Network], ipaddress.summarize_address_range(*ends)))
    except (ValueError, TypeError):
        raise BadLine("it is no range of addresses, lowest first") from None


class DropJson:
    """What the file says of itself is checked: `records` must be what was read, or the download
    was cut."""

    def read(self, source: Source, report: Report) -> Iterator[Batch]:
        records = 0
        said: int | None = None

        def parse(line: str, number: int) -> Iterable[Entry]:
            nonlocal records, said
            found = _object(line)
            if found.get("type") == "metadata":
                said = found.get("records") if isinstance(found.get("records"), int) else None
                raise Unsupported("what the file says of itself")
            records += 1
            cidr = found.get("cidr")
            if cidr is None and "asn" in found:
                raise Unsupported("a number of an autonomous system")
            if not isinstance(cidr, str):
                raise BadLine('it has no "cidr"')
            return (entries.network(cidr, number),)

        for first, text in source.blocks():
            found: list[Entry] = []
            for number, line in enumerate(text[:-1].split("\n"), first):
                report.lines += 1
                line = line.strip()
                if line:
                    found += keep(parse, line, number, source.name, report)
                else:
                    report.comments += 1
            yield found
        if said is not None and said != records:
            raise BadList(f"{source.name}: it says that it has {said} records and has {records}, "
                          "so the download was cut; fetch it again")


def _object(line: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        raise BadLine("it is no JSON object") from None
    if not isinstance(found, dict):
        raise BadLine("it is no JSON object")
    return found


NETSET = LineFormat(_netset)
DROP_TEXT = LineFormat(_drop_text, comment=";")
RANGES = LineFormat(_ranges)
DROP_JSON = DropJson()
