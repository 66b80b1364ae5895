"""The reply to what reached no verdict: the proxy starts or stops, or one of its hooks failed."""

from __future__ import annotations

from contextlib import suppress

from mitmproxy import http

from ..core.verdict import Kind, Verdict, refuse
from .metrics import Metrics
from .replies import Replies
from .runtime import Runtime

STARTING = refuse("start", Kind.FAULT, "The proxy is starting or stopping.", rule="not-ready",
                  retry_after=1.0)
UNJUDGED = refuse("decision", Kind.FAULT, "No decision was reached on this request.",
                  rule="unjudged", retry_after=1.0)


def reply_unjudged(flow: http.HTTPFlow, verdict: Verdict, runtime: Runtime | None,
                   replies: Replies, metrics: Metrics) -> http.Response:
    """A 503 on the wire contract. Its record, if there can be any, is posted."""
    metrics.count_verdict("refuse", verdict.control, verdict.rule)
    record_id = ""
    if runtime is not None and flow.client_conn.peername:
        with suppress(Exception):  # the reply must go out whatever state the records are in
            record_id = runtime.recorder.both(
                "request", reason=verdict.detail, status=503, verdict="refuse",
                source_ip=flow.client_conn.peername[0],
                source_port=flow.client_conn.peername[1], rule_id=verdict.rule,
                rule_ruleset=verdict.control).id
    return replies.refusal(verdict, record_id, connect=flow.request.method == "CONNECT",
                           ).to_response(head=flow.request.method == "HEAD")
