"""HTTP requests, from head to closing record: plain ones, and those inside inspected tunnels.

The order within `begin` is the product: credentials off the flow, canonical request, verdict,
record safe on disk, and only then an answer or a free way. A step that raises leaves the flow
unjudged, which the stream guard turns into a 503.
"""

from __future__ import annotations

import time
from functools import partial

from mitmproxy import connection, http

from ..core.account import Account
from ..core.case import Case
from ..core.charging import dial_charges
from ..core.controls import closed_meanwhile
from ..core.request import Request, Way
from ..core.verdict import Kind, Verdict, refuse
from ..evidence.record import Record
from . import edge
from .answers import client_left, delivered, objection
from .clients import Approval, ClientConnection, Exchange
from .http_guard import ANSWERED, HANG_UP, JUDGED, TARGET, target_of
from .recorder import EvidenceUnavailable
from .replies import rate_limit_fields
from .robots_fields import robots_fields
from .runtime import Runtime
from .seen import seen_in
from .settlement import latency, meter_for, settle
from .upstream import lasting, pair
from .upstream_errors import verdict_for

NO_EVIDENCE = refuse("evidence", Kind.EVIDENCE, "This request could not be put on record.",
                     rule="evidence", retry_after=2.0)
# what a target is to blame for, and not the request
TARGET_FAILED = frozenset({Kind.UNREACHABLE, Kind.TARGET_TIMEOUT})
RATE_LIMIT_FIELDS = ("ratelimit", "ratelimit-policy")  # a target's own pass untouched
GONE = refuse("client", Kind.FAULT, "The client went away before its turn.", rule="client-gone")


class Exchanges:
    def __init__(self, runtime: Runtime) -> None:
        self._rt = runtime

    # --- the request head -----------------------------------------------------------------------

    async def begin(self, flow: http.HTTPFlow, client: ClientConnection) -> None:
        """The `requestheaders` hook."""
        rt, tunnel = self._rt, client.tunnel
        way = Way.PLAIN
        if tunnel is not None:
            way = Way.INSPECTED if flow.request.scheme == "https" else Way.CLEAR
        try:
            credentials = edge.take_credentials(flow.request)
            if flow.error is not None:  # mitmproxy found the framing invalid before we saw it
                raise edge.Malformed("The framing of this request is invalid or ambiguous.")
            request = edge.http_request(flow, way, credentials, rt.route_fields)
        except edge.Malformed as error:
            verdict = refuse("protocol", Kind.MALFORMED, str(error), rule="malformed")
            record = self.record_malformed(flow.client_conn, client, verdict)
            self.answer(flow, verdict, record.id)
            return
        bound = tunnel.exchange.account if tunnel is not None else None
        case, opened = await self.judge_and_record(request, bound, "request", client,
                                                   seen_in(flow, client))
        if not case.verdict.allowed:
            self.refuse(flow, case, opened)
            return
        assert opened is not None and case.account is not None and case.taken is not None
        exchange = Exchange(opened, case.account, case.request.host, request.port,
                            time.monotonic(), (flow.request.host, flow.request.port),
                            case.charges, closest=case.taken.closest)
        exchange.meter = meter_for(rt, client, exchange)
        client.exchanges[flow.id] = exchange
        rt.clients.bind(client, case.account.id)
        exchange.began = rt.gate.health.started(exchange.host)
        self._let_through(flow, client, exchange, case)

    async def judge_and_record(self, request: Request, bound: Account | None, action: str,
                               client: ClientConnection, seen: dict[str, str] | None = None
                               ) -> tuple[Case, Record | None]:
        """A case whose verdict is final: an allow without a record becomes a refusal, and so does
        one whose account or client went away meanwhile. Nothing is awaited after that was looked
        at: what holds now holds when the request goes out, if the caller awaits nothing either."""
        case = await self._rt.gate.judge(request, bound, leaving=client.leaving())
        if case.fault is not None:
            self._rt.fault(case.verdict.control, case.fault)
        try:
            record = await self._rt.recorder.open(case, action, seen)
            revoked = self.revoked(case, client) if case.verdict.allowed else None
        except BaseException as error:
            # whatever it was, nobody gets what was charged; and a tunnel's place is held for ever
            if case.taken is not None:
                self._rt.gate.pacer.give_back(case.charges)
            if not isinstance(error, EvidenceUnavailable):
                raise
            self._rt.evidence_trouble(error)
            case.verdict = NO_EVIDENCE
            self._rt.metrics.count_verdict("refuse", "evidence", "evidence")
            return case, None
        if revoked is not None:
            self._rt.gate.pacer.give_back(case.charges)
            case.verdict = revoked
        return case, record

    def revoked(self, case: Case, client: ClientConnection) -> Verdict | None:
        """A refusal if, since identity was asked, the account or the client is no longer there.

        Between the two lie look-ups, a fetch, the record and perhaps a wait: a suspension in that
        time found nothing open to close.
        """
        assert case.account is not None
        if client.gone:
            return GONE
        current = self._rt.gate.identifier.current(case.account)
        if current is None or not current.standing.may_use:
            return refuse("standing", Kind.SUSPENDED,
                          "This account was suspended while the request was being decided.",
                          rule="suspended", clause=case.policy.suspended_clause)
        return closed_meanwhile(case, self._rt.gate.policy, time.time())

    def _let_through(self, flow: http.HTTPFlow, client: ClientConnection,
                     exchange: Exchange, case: Case) -> None:
        rt, request, route_fields = self._rt, flow.request, case.request.route_fields
        if route_fields:
            rt.route_fields.strip(request, route_fields)
            rt.metrics.route_fields_stripped.inc()
        upgrade = request.headers.get("upgrade", "")
        if upgrade and upgrade.lower() != "websocket":
            # RFC 9110 section 7.8: ours to ignore; a 101 would open a tunnel nobody judged
            del request.headers["upgrade"]
        client.approved[exchange.dialled] = Approval(exchange.account, partial(dial_charges, case))
        up, meter = rt.metrics.bytes_up, exchange.meter
        captured = exchange.captured = rt.captures.begin(exchange.account.id, exchange.record,
                                                         request)

        def count(chunk: bytes) -> bytes:
            exchange.bytes_up += len(chunk)
            if captured is not None:
                captured.up(chunk)
            up.inc(len(chunk))
            return chunk if meter is None or meter.up(len(chunk), client.id) else b""

        request.stream = count
        flow.metadata[JUDGED] = True
        flow.metadata[TARGET] = target_of(flow)

    # --- refusals -------------------------------------------------------------------------------

    def refuse(self, flow: http.HTTPFlow, case: Case, record: Record | None) -> None:
        self.answer(flow, case.verdict, record.id if record else "", case.hang_up)
        if record is not None:
            waited = case.taken.wait if case.taken is not None else 0.0
            self._close(record, waited, case.verdict)

    def answer(self, flow: http.HTTPFlow, verdict: Verdict, record_id: str,
               hang_up: bool = False) -> None:
        """Put our reply on the flow and mark it to be sent at once; `hang_up`: and close the
        connection after it."""
        rt, request = self._rt, flow.request
        connect = request.method == "CONNECT"
        reply = rt.replies.refusal(
            verdict, record_id or rt.recorder.new_id()[0],
            accept=request.headers.get("accept", ""), connect=connect, close=hang_up)
        flow.metadata[HANG_UP] = hang_up
        flow.response = reply.to_response(head=request.method == "HEAD")
        flow.metadata[ANSWERED] = flow.metadata[JUDGED] = True

    def _close(self, record: Record, duration: float, verdict: Verdict) -> None:
        assert verdict.kind is not None
        self._rt.recorder.close(record, duration, outcome="failure", reason=verdict.detail,
                                status=verdict.kind.status)

    def record_malformed(self, peer: connection.Client, client: ClientConnection,
                         verdict: Verdict) -> Record:
        """Record a request that never became one. Nothing will be sent, so nothing is awaited."""
        rt, source = self._rt, edge.source_of(peer)
        assert verdict.kind is not None
        rt.metrics.malformed.inc()
        rt.metrics.count_verdict("refuse", verdict.control, verdict.rule)
        return rt.recorder.both(
            "malformed", reason=verdict.detail, status=verdict.kind.status, source_ip=source.ip,
            source_port=source.port, connection=source.connection,
            user_id=client.tunnel.exchange.account.id if client.tunnel else "",
            verdict="refuse", rule_id=verdict.rule, rule_ruleset=verdict.control,
            **rt.gate.policy.versions)

    # --- the response ---------------------------------------------------------------------------

    def response_head(self, flow: http.HTTPFlow, client: ClientConnection) -> None:
        """The `responseheaders` hook: stream the body, count its octets."""
        exchange = client.exchanges.get(flow.id)
        if flow.response is None or exchange is None:
            return
        if objected := objection(flow):
            exchange.objection = f"{exchange.host.text} {objected}."
            flow.kill()
            return
        if flow.response.status_code == 101:
            lasting(self._rt.recorder, flow, exchange)
        exchange.latency = latency(flow)
        exchange.noted |= robots_fields(flow.response.headers.fields)
        if exchange.closest is not None and not any(
                name in flow.response.headers for name in RATE_LIMIT_FIELDS):
            for name, value in rate_limit_fields(exchange.closest):
                flow.response.headers[name] = value
        down, meter, server = self._rt.metrics.bytes_down, exchange.meter, flow.server_conn.id
        captured = exchange.captured
        if captured is not None:
            captured.answer(flow.response)

        def count(chunk: bytes) -> bytes:
            exchange.bytes_down += len(chunk)
            if captured is not None:
                captured.down(chunk)
            down.inc(len(chunk))
            return chunk if meter is None or meter.down(len(chunk), server) else b""

        flow.response.stream = count

    def end(self, flow: http.HTTPFlow, client: ClientConnection) -> None:
        """The `response` hook. A WebSocket goes on; it ends at `websocket_end`."""
        if flow.websocket is not None and flow.websocket.timestamp_end is None:
            return
        exchange = client.finish(flow.id)
        if exchange is not None:
            self._closed(flow, exchange, "failure" if client.severed else "success",
                         client.severed)

    def failed(self, flow: http.HTTPFlow, client: ClientConnection) -> None:
        """The `error` hook: the target failed, or the client went away."""
        exchange = client.finish(flow.id)
        if exchange is None or flow.error is None:
            return
        if client_left(flow.error.msg):
            if delivered(flow, exchange) and not client.severed:
                self._closed(flow, exchange, "success", "")
            else:
                self._closed(flow, exchange, "failure",
                             client.severed or "the client ended the exchange")
            return
        if exchange.ending is not None:
            verdict = exchange.ending
        elif client.dial_verdict is not None:
            verdict, client.dial_verdict = client.dial_verdict, None
        elif exchange.objection:
            verdict = refuse("upstream", Kind.TARGET_PROTOCOL, exchange.objection,
                             rule=Kind.TARGET_PROTOCOL.slug)
        else:
            verdict = verdict_for(flow.error.msg, exchange.host.text,
                                  connected=flow.server_conn.connected)
        assert verdict.kind is not None
        if exchange.ending is None:
            self._rt.metrics.upstream_errors.labels(verdict.kind.slug).inc()
        if exchange.objection or flow.response is None or flow.response.timestamp_end is None:
            self.answer(flow, verdict, exchange.record.id)
        self._closed(flow, exchange, "failure", verdict.detail,
                     failed=verdict.kind in TARGET_FAILED)

    def abandon(self, client: ClientConnection, reason: str = "the client went away") -> None:
        """Close the records of what is still open on a connection that is over."""
        for exchange in client.exchanges.values():
            settle(self._rt, exchange)
            self._rt.recorder.close(
                exchange.record, time.monotonic() - exchange.started, outcome="failure",
                reason=client.severed or reason, request_bytes=exchange.bytes_up,
                response_bytes=exchange.bytes_down, **exchange.noted)
        client.exchanges.clear()

    def websocket_message(self, flow: http.HTTPFlow, client: ClientConnection) -> None:
        """Count a message, and forget it: mitmproxy keeps them all for the life of the flow."""
        assert flow.websocket is not None
        exchange = client.exchanges.get(flow.id)
        for message in flow.websocket.messages:
            if exchange is None:
                break
            octets, meter = len(message.content), exchange.meter
            if message.from_client:
                exchange.bytes_up += octets
                passes = meter is None or meter.up(octets, client.id)
            else:
                exchange.bytes_down += octets
                passes = meter is None or meter.down(octets, flow.server_conn.id)
            if not passes:
                message.drop()
        flow.websocket.messages.clear()

    def _closed(self, flow: http.HTTPFlow, exchange: Exchange, outcome: str, reason: str, *,
                failed: bool = False) -> None:
        server, response = flow.server_conn, flow.response
        theirs = None if flow.metadata.get(ANSWERED) else response
        settle(self._rt, exchange, failed=failed, status=theirs.status_code if theirs else 0,
               retry_after=theirs.headers.get("retry-after") if theirs else None)
        self._rt.recorder.close(
            exchange.record, time.monotonic() - exchange.started, outcome=outcome, reason=reason,
            status=response.status_code if response else 0,
            request_bytes=exchange.bytes_up, response_bytes=exchange.bytes_down,
            egress=pair(server.sockname), dialled=pair(server.peername)[0], **exchange.noted)
