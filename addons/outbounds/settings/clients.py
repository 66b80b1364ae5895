"""`clients` and `targets` of config/outbounds.yaml: how slow either side may be, and how many
connections a source may have. None of it decides on a request.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ..core.connection_counts import ConnectionLimits
from ..core.pace_of_transfer import LeastPace
from . import quantity
from .fields import PositiveDuration, Rate, Strict

OctetRate = Annotated[quantity.Rate, BeforeValidator(quantity.octet_rate)]


class Connections(Strict):
    """Open at once and new ones, per source (of IPv6: per /64), and open at once in all."""

    per_source: int = Field(default=2000, ge=1, le=10**6)
    new_per_source: Rate = quantity.Rate(500, 1.0)
    total: int = Field(default=10_000, ge=1, le=10**6)

    @property
    def limits(self) -> ConnectionLimits:
        return ConnectionLimits(self.per_source, self.new_per_source.count,
                                self.new_per_source.window, self.total)


class Pace(Strict):
    """A transfer has to move `at_least` so much, as a mean over each `over` seconds."""

    at_least: OctetRate
    over: PositiveDuration

    @property
    def least(self) -> LeastPace:
        return LeastPace(self.at_least.count / self.at_least.window, self.over)


class ClientLimits(Strict):
    """What a client may take its time over. Times in seconds.

    `handshake` bounds each of SOCKS5's, TLS's and the beginning of HTTP/2, and a frame that has
    begun; `idle` a connection without a request, `tunnel_idle` a tunnel or WebSocket without
    octets; `http2_resets` the streams that a client may cancel on one connection.
    """

    connections: Connections = Connections()
    handshake: PositiveDuration = 10.0
    slow_bodies: Pace = Pace.model_validate({"at_least": "240B/s", "over": "30s"})
    slow_reads: Pace = Pace.model_validate({"at_least": "16B/s", "over": "2min"})
    idle: PositiveDuration = 300.0
    tunnel_idle: PositiveDuration = 3600.0
    http2_resets: Rate = quantity.Rate(600, 60.0)


class TargetTimes(Strict):
    """What is waited for from a target, in seconds: `connect` for TCP of each address, and for TLS;
    `reply` from the end of the request to the head of the answer; `idle` for the next octet of a
    body, either way."""

    connect: PositiveDuration = 10.0
    reply: PositiveDuration = 600.0
    idle: PositiveDuration = 600.0
