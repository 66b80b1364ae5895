"""How the service runs: config/outbounds.yaml and identity.yaml.

outbounds.yaml decides on no request, so it does not enter the policy's version.
All times are seconds, all sizes bytes, all paths absolute.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .clients import ClientLimits, TargetTimes
from .fields import (
    NOT_EMPTY,
    Address,
    ClauseRef,
    Contact,
    DataFolder,
    Duration,
    ExistingFile,
    HeaderText,
    InData,
    PlanRef,
    PositiveDuration,
    PositiveSize,
    Rate,
    Strict,
    Token,
)
from .name_server import NameServer
from .store_url import StoreUrl


class Listen(Strict):
    """A port the proxy accepts clients on. `mode` http or socks5; port 0 takes any free one."""

    mode: Literal["http", "socks5"]
    host: Address
    port: int = Field(ge=0, le=65535)


class Metrics(Strict):
    """Where Prometheus reads. Port 0 takes any free one."""

    host: Address = "127.0.0.1"
    port: int = Field(default=9464, ge=0, le=65535)


class Heads(Strict):
    """Bounds of a request head: all fields together `max_size` bytes, at most `max_fields` lines,
    complete within `timeout` seconds."""

    timeout: PositiveDuration = 10.0
    max_size: PositiveSize = 65536
    max_fields: int = Field(default=200, ge=1, le=100_000)


class Dns(Strict):
    """How names are resolved. Times in seconds.

    `servers` are asked in turn, as `address:port`; empty means those of the system. An answer is
    kept for its TTL, but not under `ttl_floor` or over `ttl_ceiling`; that a name does not exist,
    at most `negative_ceiling`. `timeout` bounds a look-up with all its attempts; `names` the cache.
    """

    servers: tuple[NameServer, ...] = ()
    timeout: PositiveDuration = 5.0
    ttl_floor: Duration = 5.0
    ttl_ceiling: PositiveDuration = 3600.0
    negative_ceiling: PositiveDuration = 60.0
    names: int = Field(default=20_000, ge=1, le=10_000_000)

    @model_validator(mode="after")
    def _floor_below_ceiling(self) -> Dns:
        if self.ttl_floor > self.ttl_ceiling:
            raise ValueError("ttl_floor is above ttl_ceiling; lower it")
        return self


class Store(Strict):
    """Where the state of limits is kept.

    `url` memory: in this process, or in memory that the workers on this machine share; or
    valkey://host:port/db, redis://… and, over TLS, valkeys://… and rediss://…, for several
    machines. `max_keys` bounds memory; `timeout` seconds is how long a decision waits for the
    server; `namespace` keeps apart what several installations keep on one server.
    """

    url: StoreUrl = "memory"
    password_file: ExistingFile | None = None
    max_keys: int = Field(default=1_000_000, ge=1024, le=10**9)
    timeout: PositiveDuration = 0.004
    namespace: Token = "outbounds"


class Service(Strict):
    """config/outbounds.yaml.

    `name` is what the proxy calls itself (Proxy-Status); `contact` a URL or mail address, "" for
    none; `data` the folder of the run data.
    """

    name: Token
    contact: Contact = ""
    listen: Annotated[tuple[Listen, ...], NOT_EMPTY]
    data: DataFolder
    metrics: Metrics = Metrics()
    heads: Heads = Heads()
    dns: Dns = Dns()
    store: Store = Store()
    clients: ClientLimits = ClientLimits()
    targets: TargetTimes = TargetTimes()

    @model_validator(mode="after")
    def _ports_differ(self) -> Service:
        taken = [(each.host, each.port) for each in self.listen]
        taken.append((self.metrics.host, self.metrics.port))
        for place in taken:
            if place[1] and taken.count(place) > 1:
                raise ValueError(f"{place[0]} port {place[1]} is listened on twice; "
                                 "give each listener and metrics a port of its own")
        return self


class Htpasswd(Strict):
    """A file of `name:hash` lines whose names are accounts on `plan`."""

    file: ExistingFile
    plan: PlanRef


class Failures(Strict):
    """How many wrong passwords are looked at before the rest are slowed down."""

    per_source: Rate
    per_name: Rate


class Networks(Strict):
    """What an account's source networks mean.

    `identify`: a client that sends no credentials from one of them is that account.
    `restrict`: an account that has networks may be used from them only.
    """

    identify: bool
    restrict: bool


class Identity(Strict):
    """config/identity.yaml. `cache` seconds is how long a verified password is remembered."""

    clause: ClauseRef
    realm: HeaderText
    accounts: InData
    htpasswd: tuple[Htpasswd, ...] = ()
    cache: Duration
    failures: Failures
    networks: Networks
