"""One entry of a denylist, parsed: a kind, a canonical value, and where it was written.

Values are made canonical here by the same functions that make traffic canonical, once, when a list
is read. An entry that could never match, or that would match far more than its author can have
meant, is an error: a list that is silently wrong is worse than one that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from .address import Network, parse_network
from .destination import MAX_NAME, BadHost, parse_host
from .url_prefix import UrlPrefix, parse_url_prefix


class Kind(StrEnum):
    DOMAIN = "domain"    # the name and everything below it
    HOST = "host"        # exactly the name
    BELOW = "below"      # everything below the name, and not the name itself
    NETWORK = "network"  # the addresses a target really has
    PORT = "port"        # any target, at this port
    SCHEME = "scheme"    # any target, by http or by https
    URL = "url"          # path and query, where they can be seen
    PATTERN = "pattern"  # a regular expression over the whole URL, where it can be seen


class Effect(IntEnum):
    """What an entry does. Both kinds of allow lift denials of the same list only."""

    DENY = 0
    ALLOW = 1         # lifts denials that are not narrower than itself
    ALLOW_ALWAYS = 2  # lifts any denial of what it matches (AdBlock's @@)


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom and when an entry or a list is in force.

    An empty set of plans and of accounts means everyone; if any is named, one of them must fit.
    From `since` (inclusive) to `until` (exclusive), Unix times in seconds.
    """

    plans: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    since: float = float("-inf")
    until: float = float("inf")

    def covers(self, account_id: str, plan: str, now: float) -> bool:
        if not self.since <= now < self.until:
            return False
        if not self.plans and not self.accounts:
            return True
        return account_id in self.accounts or plan in self.plans


EVERYONE = Scope()

Value = str | int | Network | UrlPrefix


class Entry(NamedTuple):
    """`value` is what `parse_value` returned for the kind; `line` counts from 1.

    A tuple, because lists have ten million of them. `labels` are categories or countries, in
    lower case.
    """

    kind: Kind
    value: Value
    line: int
    effect: Effect = Effect.DENY
    labels: tuple[str, ...] = ()
    scope: Scope = EVERYONE


_BY_URL, _BY_PATTERN = 10_000, 100_000  # above the weight of any name


def weight(kind: Kind, value: Value) -> int:
    """How narrow an entry is: comparable within one question. A longer name is narrower, the name
    itself narrower than it with everything below; a URL narrower than any name; a pattern
    narrower than any URL, because its author looked at the whole of it."""
    match value:
        case UrlPrefix():
            return _BY_URL + len(value.path)
        case str() if kind in NAMES:
            return name_weight(kind, len(value))
        case str() if kind is Kind.PATTERN:
            return _BY_PATTERN
        case str() | int():
            return 0
        case network:
            return network.prefixlen


NAMES = (Kind.BELOW, Kind.DOMAIN, Kind.HOST)


def name_weight(kind: Kind, length: int) -> int:
    """Of an entry for a name of `length` octets."""
    return length * len(NAMES) + NAMES.index(kind)


class BadEntry(ValueError):
    """`problem` says what is wrong with the value, `fix` what to write instead."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}; {fix}")
        self.problem = problem
        self.fix = fix


def parse_value(kind: Kind, text: str) -> Value:
    """The canonical value of an entry. Raises BadEntry."""
    parse, example = _PARSERS[kind]
    try:
        return parse(text)
    except BadEntry:
        raise
    except BadHost as error:
        raise BadEntry(error.problem, example) from None
    except ValueError as error:
        raise BadEntry(str(error), example) from None


def _host(text: str) -> str:
    host = parse_host(text)
    if host.address is not None:
        raise BadEntry("it is an address", f"write: network {host.text}")
    return host.text


def _domain(text: str) -> str:
    if text.startswith("*."):
        raise BadEntry("subdomains are included anyway", f"write: domain {text[2:]}")
    name = _host(text)
    if "." not in name:
        raise BadEntry(f"it would deny every name under {name}, a whole top-level domain",
                       f"name the domains that are meant, or write: host {name}")
    return name


def _network(text: str) -> Network:
    network = parse_network(text)
    if network.prefixlen == 0:
        raise BadEntry(f"it would deny every IPv{network.version} address",
                       "name the networks that are meant")
    return network


# A name that is canonical as it stands: what nearly every line of nearly every list holds.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PLAIN = re.compile(
    rf"(?:(?!xn--){_LABEL}\.)+(?!xn--)[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?", re.ASCII)


def canonical_name(text: str) -> str:
    """The canonical form of a name, as `parse_host` makes it. Raises BadEntry for an address,
    BadHost for what is no host. About 0.6 µs where nothing is to be done."""
    if len(text) <= MAX_NAME and _PLAIN.fullmatch(text):
        return text
    return _host(text)


def _below(text: str) -> str:
    return _domain(text.removeprefix("*."))


def _scheme(text: str) -> str:
    if text not in SCHEMES:
        raise ValueError(f"it is none of {', '.join(SCHEMES)}")
    return text


def _pattern(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text  # whether it is a regular expression is for the engine to say, when it compiles


SCHEMES = ("http", "https")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError("it is not a port number from 1 to 65535")
    return int(text)


_PARSERS: Mapping[Kind, tuple[Callable[[str], Value], str]] = {
    Kind.DOMAIN: (_domain, "write it as in: domain example.com"),
    Kind.HOST: (_host, "write it as in: host www.example.com"),
    Kind.BELOW: (_below, "write it as in: below example.com"),
    Kind.NETWORK: (_network, "write it as in: network 203.0.113.0/24"),
    Kind.PORT: (_port, "write it as in: port 25"),
    Kind.SCHEME: (_scheme, "write it as in: scheme http"),
    Kind.PATTERN: (_pattern, "write it as in: pattern ^https?://[^/]*/wp-login[.]php"),
    Kind.URL: (parse_url_prefix, "write it as in: url http://example.com/private/ "
                     "(a whole host: host example.com)"),
}
