"""Which dials of mitmproxy were approved: what links a verdict to the dial that follows it."""

from __future__ import annotations

import time

from mitmproxy import connection

from ..core.destination import BadHost, parse_host
from .clients import ClientConnection
from .dial import DialRefused, Permission, permit
from .runtime import Runtime


class Approvals:
    def __init__(self, runtime: Runtime) -> None:
        self._rt = runtime

    def permit(self, server: connection.Server, client: ClientConnection) -> None:
        """Allow mitmproxy's dial that follows in this task. Raises DialRefused."""
        assert server.address is not None
        host, port = server.address[0], server.address[1]
        account = client.approved.get((host, port))
        try:
            if account is None:
                raise DialRefused("nobody approved this connection", "unapproved-dial")
            try:
                name = parse_host(host)
            except BadHost as error:
                raise DialRefused(str(error), "bad-host") from None
            permit(Permission(name, port, account, self._rt.gate.policy, time.time(), client.id))
        except DialRefused as refused:
            self._rt.metrics.dial_refusals.labels(refused.rule).inc()
            raise

    def refused(self, permission: Permission, refused: DialRefused) -> None:
        """The dial itself was refused: its client is told when mitmproxy reports the failure."""
        self._rt.metrics.dial_refusals.labels(refused.rule).inc()
        self._rt.clients.get(permission.client).dial_refused = str(refused)
