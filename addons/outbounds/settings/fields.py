"""The kinds of value that a configuration file may hold, each with its check and its fix.

A reference (to a plan, a limit, a clause, a list) is checked where it stands, so that its line is
known. The names it may use are collected from all files before any is validated (`Context`):
a fault in the file that defines a name must neither hide a wrong reference nor invent one.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationInfo,
)

from ..core.closed_targets import is_target
from ..core.destination import BadHost, parse_host
from . import quantity
from .source import Unusable, check_file

SOCKET_PATH_BYTES = 107  # sun_path of unix(7) holds 108 with its closing NUL

TunnelProtocol = Literal["smtp", "ssh", "ftp", "irc", "nntp", "http"]
# none of core.rules.NEVER_LIFTED: an exception that is accepted and does nothing is believed in
LIFTABLE = frozenset(
    {"method", "port", "forged-headers", "robots", "special-purpose", "own-address"}
    | {f"tunnel/{name}" for name in get_args(TunnelProtocol)})

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_PLAN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)  # as accounts name it
_CLAUSE = re.compile(r"[A-Z][A-Z0-9]{0,7}-[a-z0-9-]{1,40}", re.ASCII)
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}\*?", re.ASCII)
_PRINTABLE = re.compile(r"[ -~]*", re.ASCII)
_HEADER_TEXT = re.compile(r"[!#-\[\]-~]([ !#-\[\]-~]{0,62}[!#-\[\]-~])?", re.ASCII)
_NO_HEADER_TEXT = ("cannot stand in a header; "
                   "use plain ASCII without quotes or backslashes, at most 64 characters")
_MAIL = re.compile(r"[^@\s()]+@[^@\s()]+", re.ASCII)

What = Literal["plan", "limit", "clause", "list"]


class Strict(BaseModel):
    """Frozen, no unknown key, no value taken for one of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True,
                              arbitrary_types_allowed=True)


@dataclass(frozen=True, slots=True)
class Context:
    """What a value is checked against: the folder, the run data's folder, the names defined, and
    for each list the lines that hold an entry.

    A kind of name that is None could not be collected (its file does not parse, which is
    reported already); references to it are then let through rather than all called wrong.
    """

    folder: Path
    data: Path
    names: Mapping[str, frozenset[str] | None]
    lines: Mapping[str, frozenset[int]]


def nearest(word: str, known: Iterable[str]) -> str:
    """The fix for a name that does not exist: the closest one, or all there are."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"use one of {', '.join(names)}" if names else "there is none yet; define it first"


def _context(info: ValidationInfo) -> Context:
    assert isinstance(info.context, Context)
    return info.context


def _matching(pattern: re.Pattern[str], text: str) -> Any:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(text)
        return value

    return AfterValidator(check)


def refers_to(what: What) -> Any:
    """A validator: the value must be the id of an existing plan, limit, clause or list."""

    def check(value: str, info: ValidationInfo) -> str:
        known = _context(info).names[what]
        if known is not None and value not in known:
            raise ValueError(f"unknown {what}; {nearest(value, known)}")
        return value

    return AfterValidator(check)


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("not an IP address; use one of this machine's, such as 127.0.0.1") \
            from None


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        pass
    try:
        suggestion = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("not a network; write address/length, such as 10.1.0.0/16") from None
    raise ValueError(f"bits are set after the prefix; did you mean {suggestion}?")


def _url(value: str) -> str:
    parts = urlsplit(value) if _PRINTABLE.fullmatch(value) and " " not in value else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname \
            or any(c in value for c in "<>\"()"):
        raise ValueError("not a URL; write it in full, such as https://www.example.net/legal")
    return value


def _contact(value: str) -> str:
    if not value or (_MAIL.fullmatch(value) and _PRINTABLE.fullmatch(value)):
        return value
    try:
        return _url(value)
    except ValueError:
        raise ValueError("not a URL or mail address; write one that a site owner can use") \
            from None


def _data_folder(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not a path; write a folder, such as var")
    folder = _context(info).folder.resolve()
    path = (folder / value).resolve()
    if path == folder:
        raise ValueError("the configuration's own folder; use one below it, such as var")
    return path


def _in_data(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not a path; write a name below the data folder")
    return (_context(info).data / value).absolute()


def _socket(value: object, info: ValidationInfo) -> Path:
    path = _in_data(value, info)
    if len(str(path).encode()) > SOCKET_PATH_BYTES:
        raise ValueError(f"a socket's path may have {SOCKET_PATH_BYTES} bytes and {path} has more; "
                         "set a shorter one, such as /run/outbounds/collector.sock")
    return path


def _file(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not a path; write a file name")
    return (_context(info).folder / value).absolute()


def _readable(path: Path) -> Path:
    try:
        check_file(path)
    except Unusable as error:
        raise ValueError(error.text) from None
    return path


def _ports(value: object) -> frozenset[int]:
    if not isinstance(value, tuple):
        raise ValueError("not a list; write ports in brackets, such as [80, 443]")
    found: set[int] = set()
    for entry in value:
        try:
            found |= quantity.ports(entry)
        except ValueError as error:
            raise ValueError(f"{entry!r} is {error}") from None
    return frozenset(found)


def _not_empty[T](value: tuple[T, ...]) -> tuple[T, ...]:
    # not pydantic's min_length: it counts the good entries only, and cries wolf beside a bad one
    if not value:
        raise ValueError("empty; give at least one entry")
    return value


def positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than nothing; write a larger value")
    return value


def _host(value: str) -> str:
    try:
        return parse_host(value).text if value else ""
    except BadHost as error:
        raise ValueError(f"not a host: {error.problem}; write a name such as example.com") \
            from None


def _liftable(value: str, info: ValidationInfo) -> str:
    """A rule that `core.controls` asks exceptions about: a fixed one, a port, a list or a line."""
    lists, lines = _context(info).names["list"], _context(info).lines
    kind, _, detail = value.partition(":")
    if kind == "robots" and detail:
        raise ValueError("the line of a robots.txt is the site's to change; use robots")
    if kind == "closed" and is_target(detail) and not detail.isdecimal():
        return value
    port = re.fullmatch(r"port/(\d{1,5})", value, re.ASCII)
    if value in LIFTABLE or (port and 1 <= int(port[1]) <= 65535):
        return value
    if kind in lines and detail.isdecimal() and int(detail) not in lines[kind]:
        raise ValueError(f"the list {kind} has no entry in that line; name the line of one")
    if lists is None or (kind in lists and (value == kind or detail.isdecimal())):
        return value
    if value == "visit-time" or kind.startswith(("robots/", "content-use/")):
        raise ValueError("what a robots.txt refuses can only be lifted as a whole; use robots")
    raise ValueError(f"no rule that can be lifted; {nearest(value, {*LIFTABLE, *lists})}")


def _free_limit_id(value: str) -> str:
    if value in ("crawl-delay", "request-rate", "visit-time"):
        raise ValueError(f"the limit that a site's {value} sets is called so; choose another id")
    if value in ("target-pause", "target-ceiling"):
        raise ValueError("a limit of the adaptive protection is called so; choose another id")
    return value


NOT_EMPTY = AfterValidator(_not_empty)
Id = Annotated[str, _matching(_ID, "not an id; use lower-case letters, digits, '.', '_' and '-'")]
PlanId = Annotated[str, _matching(
    _PLAN, "not a plan's id; use lower-case letters, digits, '_' and '-'")]
LimitId = Annotated[Id, AfterValidator(_free_limit_id)]
ClauseId = Annotated[str, _matching(
    _CLAUSE, "not a clause id; write a policy's letter and a word, such as P-robots")]
ClauseRef = Annotated[str, refers_to("clause")]
PlanRef = Annotated[str, refers_to("plan")]
LimitRef = Annotated[str, refers_to("limit")]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Url = Annotated[str, AfterValidator(_url)]
Contact = Annotated[str, AfterValidator(_contact)]
Method = Annotated[str, _matching(_METHOD, "not a method; write it in capitals, such as GET")]
HeaderPattern = Annotated[str, _matching(
    _HEADER, "not a header name; write one such as Via, or a beginning such as X-Forwarded-*")]
Text = Annotated[str, _matching(
    re.compile(r"(?=.*\S)[^\x00-\x1f\x7f]+", re.ASCII), "empty or not one line; write a few words")]
HeaderText = Annotated[str, _matching(_HEADER_TEXT, _NO_HEADER_TEXT)]
OptionalHeaderText = Annotated[str, _matching(
    re.compile(f"({_HEADER_TEXT.pattern})?", re.ASCII), _NO_HEADER_TEXT)]
Token = Annotated[str, _matching(
    re.compile(r"[a-z][a-z0-9.-]{0,62}", re.ASCII),
    "not a token; use lower-case letters, digits, '.' and '-'")]
Rate = Annotated[quantity.Rate, BeforeValidator(quantity.rate)]
Duration = Annotated[float, BeforeValidator(quantity.duration)]
PositiveDuration = Annotated[float, BeforeValidator(quantity.duration), AfterValidator(positive)]
PositiveSize = Annotated[int, BeforeValidator(quantity.size), AfterValidator(positive)]
Host = Annotated[str, AfterValidator(_host)]
LiftableRule = Annotated[str, AfterValidator(_liftable)]
Until = Annotated[float, BeforeValidator(quantity.end_of_day)]
Ports = Annotated[frozenset[int], BeforeValidator(_ports), PlainSerializer(sorted)]
Since = Annotated[float, BeforeValidator(quantity.start_of_day)]
Label = Annotated[str, _matching(re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}", re.ASCII),
    "not a label; use lower-case letters, digits, '.', ':', '_' and '-'")]
Sha256 = Annotated[str, _matching(re.compile(r"[0-9a-f]{64}", re.ASCII),
    "not a SHA-256; write the 64 hex digits in lower case")]
DataFolder = Annotated[Path, BeforeValidator(_data_folder)]
InData = Annotated[Path, BeforeValidator(_in_data)]
SocketPath = Annotated[Path, BeforeValidator(_socket)]
FilePath = Annotated[Path, BeforeValidator(_file)]
ExistingFile = Annotated[Path, BeforeValidator(_file), AfterValidator(_readable)]
