"""What the hooks share while a policy is in force, and the one place where faults are noted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..settings import Settings
from .capture import Captures
from .clients import ClientConnection, Clients
from .gate import Gate
from .metrics import Metrics
from .recorder import Recorder
from .replies import Replies
from .route_fields import RouteFields
from .told_faults import told

logger = logging.getLogger("outbounds")

QUIET = 10.0  # seconds in which the same trouble is logged once; metrics count every case


@dataclass(slots=True)
class Runtime:
    settings: Settings
    gate: Gate
    recorder: Recorder
    replies: Replies
    route_fields: RouteFields
    clients: Clients
    metrics: Metrics
    cut: Callable[[str], object]  # ends the client connection with this id
    starting: bool = True  # until the service is complete; listeners are open a little earlier
    captures: Captures = field(init=False)
    _said: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.captures = Captures(self.settings.service.data, self.recorder, self.fault)

    def sever(self, client: ClientConnection, reason: str) -> None:
        """End a client's connection with all that hangs on it. Not before the octets at hand are
        dealt with: the task to be ended may be the one that calls."""
        client.severed = client.severed or reason
        asyncio.get_running_loop().call_soon(self.cut, client.id)

    def fault(self, place: str, fault: BaseException) -> None:
        """Count and log an exception of our own code. The request it hit was refused."""
        self.metrics.faults.labels(place).inc()
        if self._may_say(f"fault {place} {type(fault).__name__}"):
            logger.error("Fault in %s; the request was refused.\n%s", place, told(fault))

    def evidence_trouble(self, error: Exception) -> None:
        if self._may_say("evidence"):
            # an error in the log before the start is complete makes mitmproxy exit; a client that
            # is early, as after every restart, must not be able to bring that about
            logger.log(logging.WARNING if self.starting else logging.ERROR,
                       "Refusing requests: %s", error)

    def _may_say(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._said.get(what, -QUIET) < QUIET:
            return False
        self._said[what] = now
        return True
