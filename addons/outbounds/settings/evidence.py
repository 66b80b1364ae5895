"""config/evidence.yaml: the log, how long it is kept, who else sees it. It decides on no request,
so it does not enter the policy's version.

All times are seconds, all sizes bytes, all paths absolute.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints, model_validator

from .fields import (
    ExistingFile,
    FilePath,
    InData,
    PositiveDuration,
    PositiveSize,
    SocketPath,
    Strict,
    Token,
)

_DAY = 86_400.0


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be an http:// or https:// URL without a password")
    return text.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]
LogName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]


class Kept(Strict):
    """How long what was recorded is kept: the erasable details, and the records themselves."""

    details: PositiveDuration
    records: PositiveDuration

    @model_validator(mode="after")
    def _in_order(self) -> Kept:
        if self.details > self.records:
            raise ValueError("details cannot be kept longer than the records they belong to")
        return self


class Retention(Strict):
    """By verdict; what has none (our own fetches, faults, access to the log) under `other`.
    `captured` is how long contents outlive the case that had them captured."""

    allow: Kept = Kept.model_validate({"details": "30day", "records": "180day"})
    pace: Kept = Kept.model_validate({"details": "30day", "records": "180day"})
    refuse: Kept = Kept.model_validate({"details": "90day", "records": "365day"})
    other: Kept = Kept.model_validate({"details": "90day", "records": "730day"})
    captured: PositiveDuration = 90 * _DAY


class Witness(Strict):
    """Who is shown checkpoints: exactly one of `file` (appended to), `url` (C2SP tlog-witness) or
    `timestamp` (RFC 3161). `key` is a witness's verifier key, `ca` a PEM file with the root that
    the time stamp authority's certificate leads to."""

    name: Token
    file: FilePath | None = None
    url: HttpUrl | None = None
    key: str = ""
    timestamp: HttpUrl | None = None
    ca: ExistingFile | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Witness:
        if sum(way is not None for way in (self.file, self.url, self.timestamp)) != 1:
            raise ValueError("name exactly one of file, url and timestamp")
        if (self.url is None) != (not self.key):
            raise ValueError("a witness at a url needs its key, and only such a one has one")
        if (self.timestamp is None) != (self.ca is None):
            raise ValueError("a time stamp authority needs ca, and only such a one has one")
        return self


class ObjectStore(Strict):
    """An S3-compatible store that sealed segments are copied to. `credentials` is a file with two
    lines, access key and secret key, readable by nobody else; `lock` is how long the store refuses
    to delete (object lock; `mode` as S3 has it); after `keep_local` the local copy goes."""

    endpoint: HttpUrl
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]*$")] = ""
    region: Token = "us-east-1"
    credentials: ExistingFile
    lock: PositiveDuration | None = None
    mode: Literal["governance", "compliance"] = "compliance"
    keep_local: PositiveDuration | None = None


class Evidence(Strict):
    """`collector` spawn: the proxy starts the collector; external: a service manager does, and it
    listens on `socket`. `ack_timeout` seconds without an acknowledgement refuse the request; a
    segment is closed at `segment_size` bytes. `name` begins the origin of a new log. `fail`: what
    becomes of a request whose record cannot be kept. With less than `reserve` bytes free on the
    disk no request is let through; below `warn` the metrics and the log say so. Witnesses are asked
    every `witness_every` seconds. `key_valid` is the life of a signing key."""

    directory: InData
    collector: Literal["spawn", "external"]
    socket: SocketPath
    ack_timeout: PositiveDuration
    segment_size: PositiveSize
    name: LogName = "outbounds"
    key_valid: PositiveDuration = 732 * _DAY
    fail: Literal["closed", "open"] = "closed"
    reserve: PositiveSize = 64 * 1024 * 1024
    warn: PositiveSize = 1024 * 1024 * 1024
    retention: Retention = Retention()
    witnesses: tuple[Witness, ...] = ()
    witness_every: PositiveDuration = 60.0
    store: ObjectStore | None = None

    @model_validator(mode="after")
    def _warned_first(self) -> Evidence:
        if self.warn < self.reserve:
            raise ValueError("warn must not be below reserve")
        names = [each.name for each in self.witnesses]
        if len(set(names)) < len(names):
            raise ValueError("two witnesses have one name")
        return self
