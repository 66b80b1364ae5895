"""Addresses in the text of a complaint, with a port where one is written beside them.

People make addresses harmless (192[.]0[.]2[.]7), and programs glue the port on in six ways:
192.0.2.7:51234, [2001:db8::7]:51234, 192.0.2.7.51234 (tcpdump), 192.0.2.7/51234 (Cisco),
192.0.2.7(51234) (PostgreSQL), 192.0.2.7 port 51234 (OpenSSH).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_FOUR = re.compile(
    r"(?<![\w.-])(?P<ip>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})"
    r"(?:(?::|\.|\]:)(?P<port>\d{1,5})(?![\w.]*\d)|/(?P<slash>\d{1,5})(?!\d)|\((?P<round>\d{1,5})\))?"
    r"(?![\w-]|\.\d)")
_SIX = re.compile(
    r"(?<![\w:.])(?P<open>\[)?"
    r"(?P<ip>[0-9A-Fa-f:]{1,30}:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[0-9A-Fa-f:]{2,39})"
    r"(?:%\w{1,15})?(?(open)\](?::(?P<port>\d{1,5}))?|(?:\.(?P<dot>\d{1,5}))?)(?![\w:]|\.\d)")
_PORT = re.compile(
    r"[\s,;(\"']{0,3}(?:with\s|using\s|and\s|from\s)?(?:(?:source|src|client|remote)[\s-])?"
    r"(?:port|sport)[\s:=#]{1,3}(\d{1,5})(?!\d|\.\d)",
    re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """An address in a text, canonical: an IPv4 address inside an IPv6 one is the former."""

    address: str
    port: int | None
    start: int
    end: int


def refanged(text: str) -> str:
    """`text` with the addresses and URLs that were made harmless made whole again."""
    for harmless, whole in (("[.]", "."), ("(.)", "."), ("[dot]", "."), ("[:]", ":"),
                            ("hxxp", "http"), ("hXXp", "http")):
        text = text.replace(harmless, whole)
    return text


def canonical(text: str) -> str:
    """The address that `text` is; "" where it is none."""
    text = text.strip().strip("[]").partition("%")[0]
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", text):
        text = ".".join(str(int(part)) for part in text.split("."))  # logs pad with zeros
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        # RFC 4291 section 2.5.5.1: nobody has such an address any more, but "client::192.0.2.7" is
        # written
        if "." in text and int(address) < 1 << 32:
            return str(IPv4Address(int(address)))
    return str(address)


def port_of(text: object) -> int | None:
    """A port number; None where `text` is none."""
    digits = str(text).strip()
    if not re.fullmatch(r"\d{1,5}", digits):
        return None
    return int(digits) if 0 < int(digits) < 65_536 else None


def find(text: str) -> Iterator[Found]:
    """Every address in `text`, in order."""
    found = [each for pattern in (_FOUR, _SIX) for match in pattern.finditer(text)
             if (each := _found(match, text)) is not None]
    end = 0
    for each in sorted(found, key=lambda each: (each.start, -each.end)):
        if each.start >= end:
            end = each.end
            yield each


def _found(match: re.Match[str], text: str) -> Found | None:
    written = match["ip"]
    if ":" in written and written.count(":") < 2:
        return None
    address = canonical(written)
    if address in ("", "::", "0.0.0.0"):
        return None
    groups = match.groupdict()
    port = next((port_of(groups[name]) for name in ("port", "dot", "round")
                 if groups.get(name)), None)
    if port is None and groups.get("slash") and int(groups["slash"]) > 128:
        port = port_of(groups["slash"])
    end = match.end()
    if port is None:
        beside = _PORT.match(text, end)
        if beside is not None:
            port, end = port_of(beside[1]), beside.end()
    return Found(address, port, match.start(), end)


def parse_endpoint(text: str) -> tuple[str, int | None]:
    """(address, port) of what `text` alone is. Raises ValueError."""
    text = refanged(text.strip())
    found = list(find(text))
    if len(found) == 1 and found[0].start == 0 and found[0].end == len(text):
        return found[0].address, found[0].port
    raise ValueError(
        f"{text[:80]!r} is no address: write 192.0.2.7, 192.0.2.7:51234, 2001:db8::7 or "
        "[2001:db8::7]:51234. Names are not looked up: what one leads to today is not what it led "
        "to then")
