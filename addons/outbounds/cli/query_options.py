"""The options by which records are searched for, the same wherever that is done.

    @query_options
    def search(query: Query, …): …

A time without a zone is UTC. `--account` is taken as it is; who accepts names or pseudonyms there
replaces it (`dataclasses.replace`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Concatenate

import click

from ..core.address import Network, parse_network, reduced_network
from ..core.destination import BadHost, parse_host
from ..evidence.search import Endpoint, Query, Target
from .moment_type import Moment

_TEXTS = {
    "method": "The request's method.",
    "url": "A part of the path, with the names of the query's parameters: '/item?id='.",
    "rule": "The rule that decided, by its id.",
    "control": "The control that decided, such as destination.",
    "clause": "The policy clause, such as P-robots.",
    "verdict": "allow, pace or refuse.",
    "outcome": "success, failure or unknown.",
    "action": "What it was: request, tunnel, case.open, …",
    "connection": "The client's connection.",
}


class _Asked(click.ParamType[Any]):
    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: object, param: click.Parameter | None,
                ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value.strip())
        except (ValueError, BadHost) as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def read_endpoint(text: str) -> Endpoint:
    """`192.0.2.7:51234`, `[2001:db8::1]:443`, `192.0.2.0/24`, `:51234`. Raises ValueError."""
    host, port = _split(text)
    return Endpoint(_network(host) if host else None, port)


def read_target(text: str) -> Target:
    """A name, a name with everything below it (`.example.org`), an address or a network; with or
    without a port. Raises ValueError."""
    host, port = _split(text)
    if not host:
        return Target(port=port)
    try:
        return Target(network=_network(host), port=port)
    except ValueError:
        below = host.startswith(".")
        found = parse_host(host.removeprefix("."))
    if found.address is not None:
        return Target(network=_network(str(found.address)), port=port)
    return Target(name=found.text, below=below, port=port)


def read_status(text: str) -> tuple[int, int]:
    """`404`, `4xx` or `400-499`. Raises ValueError."""
    if re.fullmatch(r"[1-5]xx", text):
        return int(text[0]) * 100, int(text[0]) * 100 + 99
    found = re.fullmatch(r"(\d{3})(?:-(\d{3}))?", text)
    if found is None:
        raise ValueError("must be such as 404, 4xx or 400-499")
    return int(found[1]), int(found[2] or found[1])


def _split(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:]*))(?::(?P<port>\d{1,5}))?", text)
    if found is None:  # an IPv6 address or network without brackets
        return text, 0
    port = int(found["port"] or 0)
    if port > 65535:
        raise ValueError("a port is 65535 at most")
    return found["six"] or found["host"] or "", port


def _network(text: str) -> Network:
    return reduced_network(parse_network(text))


def query_options[**P, R](command: Callable[Concatenate[Query, P], R]) -> Callable[..., R]:
    """`command` is given the query as its first argument."""

    @functools.wraps(command)
    def given(**words: Any) -> R:
        known = {name: words.pop(f"query_{name}") for name in _NAMES}
        query = Query(**{name: value for name, value in known.items() if value is not None})
        return command(query, **words)  # type: ignore[call-arg]

    for option in reversed(_OPTIONS):
        given = option(given)
    return given


_OPTIONS = [
    click.option("--id", "query_ids", multiple=True, metavar="RECORD-ID",
                 help="By id, as replies and `evidence tail` show it; may be given again."),
    click.option("--account", "query_account", metavar="ACCOUNT", help="Whose."),
    click.option("--since", "query_since", type=Moment(), metavar="TIME",
                 help="From then on: 2026-11-21T12:03:07Z, a day, '2h ago'. Without a zone UTC."),
    click.option("--until", "query_until", type=Moment(last=True), metavar="TIME",
                 help="Until then; of a day, its end."),
    click.option("--target", "query_target", type=_Asked("host", read_target),
                 metavar="HOST[:PORT]", help="Where to: a name, .example.org for it and all below, "
                                             "an address or a network."),
    click.option("--egress", "query_egress", type=_Asked("endpoint", read_endpoint),
                 metavar="ADDRESS[:PORT]",
                 help="The proxy's own address and port, as the target saw them."),
    click.option("--source", "query_source", type=_Asked("endpoint", read_endpoint),
                 metavar="ADDRESS[:PORT]", help="The customer's address or network, and port."),
    click.option("--status", "query_status", type=_Asked("status", read_status),
                 help="What was answered: 404, 4xx or 400-499."),
    *(click.option(f"--{name}", f"query_{name}", metavar="TEXT", help=text)
      for name, text in _TEXTS.items()),
]
_NAMES = ("ids", "account", "since", "until", "target", "egress", "source", "status", *_TEXTS)
