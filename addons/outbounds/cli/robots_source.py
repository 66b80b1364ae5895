"""Where `outbounds robots` has its answers from: the workers of the proxy that runs, or, where none
does, a gate of its own. The questions and answers are those of `proxy.robots_desk` either way."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from ..core.account import Account
from ..core.destination import Host, parse_host
from ..proxy.control_socket import Refused
from ..proxy.robots_desk import SOMEBODY, RobotsDesk
from ..settings import SettingsError, load_service
from .own_gate import NOT_IN_FORCE, in_force, own_gate
from .running_proxy import RunningProxy
from .who_types import operator

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """`path` with its query."""

    scheme: str
    host: Host
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host.text, self.port

    @property
    def site(self) -> str:
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host.uri}{port}"


def parse_target(text: str) -> Target:
    """A URL, or a host alone, which is taken for its https. Raises ValueError, BadHost included."""
    if "://" not in text and not set(":/?#") & set(text):
        text = f"https://{text}/"
    parts = urlsplit(text)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{text!r} is neither a host nor an http or https URL, such as "
                         "example.com or https://example.com:8443/page")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parse_host(parts.hostname),
                  parts.port or _PORTS[parts.scheme], path)


@dataclass(frozen=True, slots=True)
class Answers:
    """`of` are the answers that are to be shown; `how` is a sentence on where they come from."""

    of: list[dict[str, Any]]
    how: str


def known_or_fetched(config_dir: Path, command: str, target: Target, account: Account = SOMEBODY,
                     **fields: Any) -> Answers:
    """One answer: of the worker whose file is the newest. Where none has one, the first is asked
    to fetch it. Ends the command with a message where that cannot be."""
    proxy = _proxy(config_dir)
    asked: dict[str, Any] = {"origin": target.origin, **fields}
    answers = proxy.ask_all(command, fetch=False, **asked)
    if not answers:
        return _own(config_dir, command, account, {**asked, "fetch": True})
    having = [each for each in answers if each["known"] is not None]
    if not having:
        answer = proxy.ask_one(command, fetch=True, **asked)
        if answer is None:
            raise click.ClickException("the proxy has just stopped; ask again")
        return Answers([answer], "the proxy did not have it, and has fetched it now")
    newest = max(having, key=lambda each: each["known"]["fetched"])
    how = "what the proxy goes by"
    if len(answers) > 1:
        how += f", in worker {newest['worker']} of {len(answers)}"
    others = {each["known"]["sha256"] for each in having} - {newest["known"]["sha256"]}
    if others:
        how += ("; other workers go by " + ", ".join(each[:12] or "none" for each in others)
                + " until it is asked for again")
    return Answers([newest], how)


def of_all(config_dir: Path, command: str, target: Target) -> Answers:
    """An answer of each worker."""
    answers = _proxy(config_dir).ask_all(command, origin=target.origin)
    if answers:
        count = len(answers)
        return Answers(answers, f"in {count} worker{'s' if count > 1 else ''}")
    return _own(config_dir, command, SOMEBODY, {"origin": target.origin})


def body_of(known: Mapping[str, Any]) -> bytes:
    return base64.b64decode(known["body"])


def _proxy(config_dir: Path) -> RunningProxy:
    try:
        return RunningProxy(load_service(config_dir).data)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _own(config_dir: Path, command: str, account: Account, request: dict[str, Any]) -> Answers:
    try:
        settings = in_force(config_dir)
    except NOT_IN_FORCE as error:
        raise click.ClickException(str(error)) from None

    async def ask() -> object:
        async with own_gate(settings, account) as gate:
            return await RobotsDesk(lambda: gate).handlers()[command](
                {**request, "by": operator()})

    try:
        answer = msgspec.json.decode(msgspec.json.encode(asyncio.run(ask())))
    except Refused as error:
        raise click.ClickException(str(error)) from None
    return Answers([answer], "no proxy runs; this command has asked the site itself")
