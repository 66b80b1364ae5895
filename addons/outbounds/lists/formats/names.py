"""Lists of names: plain domains, wildcards, hosts files, Squid's dstdomain and dnsmasq.

They look alike and mean different things by a name, which is why a format is named or detected
and never guessed line by line:

    domains    example.com            the name and everything below it
    wildcard   *.example.com          the same; a name without the star is that name alone
    hosts      0.0.0.0 example.com    that name alone (hosts(5))
    dstdomain  .example.com           the name and everything below it; without the dot, that name
                                      alone (wiki.squid-cache.org/SquidFaq/SquidAcl)
    dnsmasq    address=/example.com/  the name and everything below it (dnsmasq(8))

In each, an address where a name is expected means that address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from ...core.list_entry import Effect, Entry, Kind
from ..report import BadLine, Unsupported
from . import entries
from .lines import LineFormat
from .plain import Shape

_COMMENT = re.compile(r"\s#.*")


def _bare(line: str) -> str:
    """The line without the comment at its end."""
    return _COMMENT.sub("", line).rstrip() if "#" in line else line


def _domain(line: str, number: int) -> Iterable[Entry]:
    return (entries.name(Kind.DOMAIN, _bare(line), number),)


def _wildcard(line: str, number: int) -> Iterable[Entry]:
    # blocky's documentation, "Wildcard support": *.example.com is example.com and every name
    # below it, example.com is that name. Publishers of wildcard lists mean the same.
    text = _bare(line)
    if text.startswith("/") and text.endswith("/"):
        raise Unsupported("a regular expression over names")
    name = text.removeprefix("*.")
    if "*" in name:
        raise Unsupported("a wildcard within a name")
    return (entries.name(Kind.HOST if name == text else Kind.DOMAIN, name, number),)


def _dstdomain(line: str, number: int) -> Iterable[Entry]:
    text = _bare(line)
    if text.startswith("."):
        return (entries.name(Kind.DOMAIN, text[1:], number),)
    return (entries.name(Kind.HOST, text, number),)


# What hosts files say about the machine itself, as in the files that ship with systems.
_OWN = frozenset({
    "localhost", "localhost.localdomain", "localhost4", "localhost6", "local", "broadcasthost",
    "localhost6.localdomain6", "localhost4.localdomain4", "ip6-localhost", "ip6-loopback",
    "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0",
})


def _hosts(line: str, number: int) -> Iterable[Entry]:
    address, *names = line.partition("#")[0].split()
    try:
        target = ipaddress.ip_address(address)
    except ValueError:
        raise BadLine("it does not begin with an address") from None
    if not names:
        raise BadLine("an address without a name")
    meant = [name for name in names if name.lower().removesuffix(".") not in _OWN]
    if not meant:
        raise Unsupported("a name of the machine itself")
    if not (target.is_unspecified or target.is_loopback):
        raise Unsupported("a name given another address, not a denied one")
    found: list[Entry] = []
    fault: BadLine | None = None
    for name in meant:
        try:
            found.append(entries.name(Kind.HOST, name, number))
        except BadLine as error:
            fault = fault or error
    if fault:
        raise BadLine(str(fault), found)
    return found


_DNSMASQ = re.compile(r"([a-z0-9-]+)(?:\s*=\s*(.*))?", re.IGNORECASE)


def _dnsmasq(line: str, number: int) -> Iterable[Entry]:
    setting = _DNSMASQ.fullmatch(_bare(line))
    if setting is None:
        raise BadLine("it is no setting of dnsmasq")
    key, value = setting[1].lower(), setting[2] or ""
    if key not in ("address", "server", "local"):
        raise Unsupported("a setting of dnsmasq that denies no name")
    if not value.startswith("/"):
        if key == "server":
            raise Unsupported("a setting of dnsmasq that denies no name")
        raise BadLine("it is not of the form address=/example.com/")
    names, _, answer = value[1:].rpartition("/")
    if not names:
        raise Unsupported("names without a dot, which no target has")
    effect = _answer(key, answer)
    found: list[Entry] = []
    for name in names.split("/"):
        # dnsmasq's # stands for every name there is; parse_host would only call it no host
        if name in ("#", "*"):
            raise entries.everything()
        if "*" in name:
            raise Unsupported("a wildcard within a name")
        found.append(entries.name(Kind.DOMAIN, name.removeprefix("."), number, effect))
    return found


def _answer(key: str, answer: str) -> Effect:
    if key != "address":
        # `server=/d/#` sends d to the standard servers although a parent of it is denied; the
        # longest name decides, as with our allow
        if answer == "#":
            return Effect.ALLOW
        if answer:
            raise Unsupported("names sent to a name server of their own")
        return Effect.DENY
    if answer not in ("", "#"):
        try:
            target = ipaddress.ip_address(answer)
        except ValueError:
            raise BadLine("its answer is no address") from None
        if target.is_global:
            raise Unsupported("a name given another address, not a denied one")
    return Effect.DENY


DOMAINS = LineFormat(_domain, shapes=(Shape(Kind.DOMAIN),))
WILDCARD = LineFormat(_wildcard, shapes=(Shape(Kind.DOMAIN, "*."), Shape(Kind.HOST)))
HOSTS = LineFormat(_hosts, shapes=(
    Shape(Kind.HOST, "0.0.0.0 "), Shape(Kind.HOST, "127.0.0.1 "), Shape(Kind.HOST, "127.0.0.1\t")))
DSTDOMAIN = LineFormat(_dstdomain, shapes=(Shape(Kind.DOMAIN, "."), Shape(Kind.HOST)))
DNSMASQ = LineFormat(_dnsmasq, shapes=(
    Shape(Kind.DOMAIN, "address=/", "/"), Shape(Kind.DOMAIN, "address=/", "/#"),
    Shape(Kind.DOMAIN, "address=/", "/0.0.0.0"), Shape(Kind.DOMAIN, "local=/", "/"),
    Shape(Kind.DOMAIN, "server=/", "/")))
