"""The way to the collector, and what it says on it: metrics, and a warning before it is too late.
"""

from __future__ import annotations

import logging
import secrets

from ..evidence.client import EvidenceClient
from ..evidence.privacy import load_key
from ..evidence.record import Encoder
from ..settings import Settings
from .metrics import Metrics
from .recorder import Recorder

logger = logging.getLogger("outbounds")


def open_evidence(settings: Settings, metrics: Metrics) -> tuple[EvidenceClient, Recorder]:
    """Not started yet. Raises OSError, ValueError."""
    evidence, data, session = settings.evidence, settings.service.data, secrets.token_hex(8)
    client = EvidenceClient(evidence.socket, session, timeout=evidence.ack_timeout)
    metrics.evidence.up.set_function(lambda: float(client.available))
    opens = evidence.fail == "open"
    return client, Recorder(client, Encoder(session, load_key(data)), metrics, fail_open=opens,
                            gaps=data / "gaps" if opens else None,
                            news=EvidenceWatch(client, metrics, evidence.warn).news)


class EvidenceWatch:
    """`warn`: with less than so many bytes free it says so, once, and once when there is more."""

    def __init__(self, client: EvidenceClient, metrics: Metrics, warn: int) -> None:
        self._client = client
        self._metrics = metrics
        self._warn = warn
        self._last = client.state
        self._low = False

    def news(self) -> None:
        """Called after each acknowledgement, too: it looks at a state once."""
        state = self._client.state
        if state is self._last:
            return
        self._last = state
        self._metrics.evidence.show(state)
        low = state.free < self._warn
        if low != self._low:
            self._low = low
            logger.warning("%d bytes are free on the disk of the evidence log, %s.", state.free,
                           f"below {self._warn} (evidence.yaml, warn); with less than "
                           f"{state.reserve} nothing new is let through" if low
                           else "enough again")
