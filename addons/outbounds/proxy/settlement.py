"""What an exchange or a tunnel held and used, settled when it ends or is cut off."""

from __future__ import annotations

from typing import Any

from mitmproxy import http

from ..core.charging import exceeded
from ..core.limits import Exceeded
from ..core.verdict import Verdict
from .clients import ClientConnection, Exchange, Tunnel
from .metering import Meter, is_metered
from .runtime import Runtime


def meter_for(rt: Runtime, client: ClientConnection, exchange: Exchange,
              tunnel: Tunnel | None = None) -> Meter | None:
    """What charges the octets of an exchange, or of the tunnel it is; None if no limit does."""
    def cut_off(found: Exceeded) -> None:
        verdict = exceeded(found)
        rt.metrics.count_verdict("refuse", verdict.control, verdict.rule)
        late = noted(verdict, rt.gate.policy.versions)
        if tunnel is not None:
            tunnel.ended, tunnel.noted = verdict.detail, late
        exchange.noted |= late
        rt.sever(client, verdict.detail)

    return Meter(rt.gate.store, exchange.charges, cut_off) if is_metered(exchange.charges) else None


def settle(rt: Runtime, exchange: Exchange, *, status: int = 0, retry_after: str | None = None,
           failed: bool = False) -> None:
    """Give back what an exchange held, and tell how its target did: `status` as the target
    answered, 0 if it did not; `failed`, if that is the target's fault."""
    if exchange.meter is not None:
        exchange.meter.close()
    if exchange.captured is not None:
        rt.captures.end(exchange.captured)
    rt.gate.pacer.release(exchange.charges)
    rt.gate.health.finished(exchange.host, exchange.began, status=status, retry_after=retry_after,
                            latency=exchange.latency, failed=failed)


def noted(verdict: Verdict, versions: dict[str, str]) -> dict[str, Any]:
    """What a closing record says of a request or tunnel that was let through and refused later."""
    return {"verdict": "refuse", "rule_id": verdict.rule, "rule_ruleset": verdict.control,
            "rule_reference": verdict.clause, **versions}


def latency(flow: http.HTTPFlow) -> float | None:
    """Seconds from the end of the request to the head of the answer, where both are known."""
    asked, answered = flow.request.timestamp_end, flow.response and flow.response.timestamp_start
    return max(0.0, answered - asked) if asked and answered else None
