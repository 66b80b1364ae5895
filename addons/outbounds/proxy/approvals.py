"""Which dials of mitmproxy were approved: what links a verdict to the dial that follows it."""

from __future__ import annotations

import time

from mitmproxy import connection

from ..core.charging import exceeded
from ..core.destination import BadHost, parse_host
from ..core.limits import Exceeded
from ..core.questions import Take
from ..core.verdict import Kind, Verdict, refuse
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
        approval = client.approved.get((host, port))
        try:
            if approval is None:
                raise DialRefused("nobody approved this connection", "unapproved-dial")
            try:
                name = parse_host(host)
            except BadHost as error:
                raise DialRefused(str(error), "bad-host") from None
            permit(Permission(name, port, approval.account, self._rt.gate.policy, time.time(),
                              client.id))
        except DialRefused as refused:
            self._rt.metrics.dial_refusals.labels(refused.rule).inc()
            raise

    async def charge(self, server: connection.Server, client: ClientConnection) -> Verdict | None:
        """Charge the dial that was permitted, as a new connection; None, or why it must wait."""
        assert server.address is not None
        approval = client.approved.get((server.address[0], server.address[1]))
        charges = approval.charges() if approval is not None else ()
        if approval is None or not charges:
            return None
        pacer, account = self._rt.gate.pacer, approval.account
        weight = self._rt.gate.policy.plans[account.plan].weight
        question = Take(charges, account.id, weight)
        outcome = pacer.take_now(question) or await pacer.take(question, client.leaving())
        if not isinstance(outcome, Exceeded):
            return None
        verdict = exceeded(outcome)
        self._rt.metrics.count_verdict("refuse", verdict.control, verdict.rule)
        return verdict

    def refused(self, permission: Permission, refused: DialRefused) -> None:
        """The dial itself was refused: its client is told when mitmproxy reports the failure."""
        self._rt.metrics.dial_refusals.labels(refused.rule).inc()
        self._rt.clients.get(permission.client).dial_verdict = not_permitted(refused)


def not_permitted(refused: DialRefused) -> Verdict:
    """What a client is told of a dial that is not permitted."""
    return refuse("destination", Kind.ADDRESS, str(refused), rule="dial")
