"""One entry of a denylist, parsed: a kind, a canonical value, and where it was written.

Values are made canonical here by the same functions that make traffic canonical, once, when a list
is read. An entry that could never match, or that would match far more than its author can have
meant, is an error: a list that is silently wrong is worse than one that is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .address import Network, parse_network
from .destination import BadHost, parse_host
from .url_prefix import UrlPrefix, parse_url_prefix


class Kind(StrEnum):
    DOMAIN = "domain"    # the name and everything below it
    HOST = "host"        # exactly the name
    NETWORK = "network"  # the addresses a target really has
    PORT = "port"        # any target, at this port
    URL = "url"          # path and query, where they can be seen


Value = str | int | Network | UrlPrefix


@dataclass(frozen=True, slots=True)
class Entry:
    """`value` is what `parse_value` returned for the kind; `line` counts from 1.

    `clause` and `blocked_by` (the URI of who demanded it, RFC 7725 section 4; "" for no legal
    demand) are those of the whole list.
    """

    kind: Kind
    value: Value
    list_id: str
    line: int
    clause: str = ""
    blocked_by: str = ""


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


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError("it is not a port number from 1 to 65535")
    return int(text)




_PARSERS: Mapping[Kind, tuple[Callable[[str], Value], str]] = {
    Kind.DOMAIN: (_domain, "write it as in: domain example.com"),
    Kind.HOST: (_host, "write it as in: host www.example.com"),
    Kind.NETWORK: (_network, "write it as in: network 203.0.113.0/24"),
    Kind.PORT: (_port, "write it as in: port 25"),
    Kind.URL: (parse_url_prefix, "write it as in: url http://example.com/private/ "
                     "(a whole host: host example.com)"),
}
