"""From a decision to its records: what a `Case` found, under the names of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .identifier import timestamp
from .record import CONNECTION, END, START, Record

if TYPE_CHECKING:
    from outbounds.core.case import Case


def opening(*, id: str, at: int, action: str) -> Record:
    """A bare opening, for what never became a request (malformed, TLS failure, robots fetch).

    `at` is Unix ns; fill in what is known before `Encoder.encode`.
    """
    return Record(timestamp=timestamp(at), id=id, type=START, kind="event", action=action,
                  network_transport="tcp")


def opening_of(case: Case, *, id: str, at: int, action: str) -> Record:
    """The opening record of a decided `case`; encode it with `target=case.request.path`.

    Holds no credentials: `Case` has them, and they are not read here.
    """
    request, verdict = case.request, case.verdict
    record = opening(id=id, at=at, action=action)
    record.user_id = case.account.id if case.account else ""
    record.source_ip = request.source.ip
    record.source_port = request.source.port
    record.connection = request.source.connection
    if request.host.address is None:
        record.destination_domain = request.host.text
    else:
        record.destination_ip = str(request.host.address)
    record.destination_port = request.port
    record.http_request_method = request.method
    record.url_scheme = request.scheme
    record.user_agent = request.user_agent
    record.way = request.way.value
    for name in request.names:
        if name.where == "SNI":
            record.tls_server_name = name.host.text
    record.verdict = verdict.result.value
    record.rule_id = verdict.rule
    record.rule_ruleset = verdict.control
    record.rule_reference = verdict.clause
    record.reason = verdict.detail
    record.wait = int(verdict.wait * 1e9)
    record.policy_version = case.policy.version
    record.lists_version = case.policy.denylist.version
    record.rule_category = ",".join(case.labels)
    # a tunnel of an account that is not inspected shows no path and no status: the record says so
    hidden = request.way.opens_tunnel and not (case.account and case.account.inspect)
    record.visibility = "tunnel" if hidden else "full"
    if case.robots is not None:
        record.robots_sha256 = case.robots.digest
        record.robots_state = case.robots.state
        record.robots_scope = case.robots_scope
        record.robots_line = case.robots_match.line if case.robots_match else 0
        record.robots_agent = case.robots_agent
        if case.robots.fetched:
            record.robots_age = max(0, int(case.now - case.robots.fetched))
        record.robots_usage = " ".join(
            f"{each.purpose}={'yes' if each.allowed else 'no'}" for each in case.preferences)
    record.robots_exempt = case.robots_exempt
    record.exception = ",".join(case.lifted)
    record.observed = case.observed
    return record


def connection(opening: Record, *, at: int, egress: tuple[str, int],
               dialled: tuple[str, int]) -> Record:
    """That a connection to the target now carries what `opening` let through: `egress` is our own
    address and port towards the target, `dialled` the target's. `at` is Unix ns."""
    return Record(timestamp=timestamp(at), id=opening.id, type=CONNECTION, kind=opening.kind,
                  action=opening.action, user_id=opening.user_id, source_nat_ip=egress[0],
                  source_nat_port=egress[1], destination_ip=dialled[0],
                  destination_port=dialled[1], connection=opening.connection,
                  verdict=opening.verdict)


def closing(
    opening: Record,
    *,
    at: int,
    outcome: str,
    duration: int,
    reason: str = "",
    status: int = 0,
    request_bytes: int = 0,
    response_bytes: int = 0,
    egress: tuple[str, int] = ("", 0),
    dialled: str = "",
) -> Record:
    """The closing record that belongs to `opening`.

    `at` is Unix ns, `duration` ns; `outcome` "success", "failure" or "unknown". `status` is what
    the customer was answered; bytes are bodies, or for a tunnel all that passed from the client
    and to it. `egress` is our own address and port towards the target, `dialled` the target's.
    """
    record = Record(timestamp=timestamp(at), id=opening.id, type=END, kind=opening.kind,
                    action=opening.action, outcome=outcome, duration=duration, reason=reason,
                    http_response_status_code=status, destination_ip=dialled,
                    source_nat_ip=egress[0], source_nat_port=egress[1])
    # the keys of a search: an abuse desk asks by account, or by egress address, port and time
    record.user_id = opening.user_id
    record.verdict = opening.verdict  # says how long it is kept, wherever its opening lies
    if opening.way in ("connect", "socks5"):
        record.source_bytes, record.destination_bytes = request_bytes, response_bytes
    else:
        record.http_request_bytes, record.http_response_bytes = request_bytes, response_bytes
    return record
