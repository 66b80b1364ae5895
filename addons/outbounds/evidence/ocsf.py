"""Events for a SIEM: the Open Cybersecurity Schema Framework, version 1.3.0.

One event of ours, whatever number of records it left, is one of theirs:

    request, robots-fetch, …   HTTP Activity     4002   what has an HTTP method and is no tunnel
    tunnel, malformed, …       Network Activity  4001   what else has a client or a target
    all else                   Base Event           0   what commands and the keeper did to the log

Profiles: Security Control (what was decided), Network Proxy (our side towards the target) and Host
(whose account it was). A field that has no place there is under `unmapped`, by its name in the log:
nothing is lost. Times are ms since 1970, as theirs are; the log has µs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .search.event import Event, Fields

VERSION = "1.3.0"
PROFILES = ["host", "network_proxy", "security_control"]

BASE, NETWORK, HTTP = 0, 4001, 4002

_METHODS = {"CONNECT": 1, "DELETE": 2, "GET": 3, "HEAD": 4, "OPTIONS": 5, "POST": 6, "PUT": 7,
            "TRACE": 8}
_OTHER = 99
_OPEN, _CLOSE, _FAIL, _REFUSE = 1, 2, 4, 5     # of Network Activity
_STATUS = {"success": 1, "failure": 2, "unknown": 0}
# verdict: (action_id, disposition_id): allowed, denied; allowed, delayed, blocked
_DECIDED = {"allow": (1, 1), "pace": (1, 14), "refuse": (2, 2)}
_UNAUTHORIZED = 26                             # disposition of a refusal by identity
_INFORMATIONAL, _LOW = 1, 2                    # severity

# field of ours: (path of theirs); what is made of several fields is below
_PLACES: dict[str, str] = {
    "source.ip": "src_endpoint.ip",
    "source.port": "src_endpoint.port",
    "source.nat.ip": "proxy_endpoint.ip",
    "source.nat.port": "proxy_endpoint.port",
    "destination.domain": "dst_endpoint.hostname",
    "destination.ip": "dst_endpoint.ip",
    "destination.port": "dst_endpoint.port",
    "source.bytes": "traffic.bytes_out",
    "destination.bytes": "traffic.bytes_in",
    "http.request.bytes": "traffic.bytes_out",
    "http.response.bytes": "traffic.bytes_in",
    "network.transport": "connection_info.protocol_name",
    "event.reason": "status_detail",
    "rule.id": "firewall_rule.uid",
    "rule.ruleset": "firewall_rule.type",
    "rule.reference": "firewall_rule.desc",
    "rule.category": "firewall_rule.category",
    "outbounds.policy.version": "policy.version",
    "outbounds.connection": "src_endpoint.uid",
}
_HTTP_PLACES = {
    "http.request.method": "http_request.http_method",
    "http.version": "http_request.version",
    "user_agent.original": "http_request.user_agent",
    "url.scheme": "http_request.url.scheme",
    "url.path": "http_request.url.path",
    "url.query": "http_request.url.query_string",
    "http.response.status_code": "http_response.code",
}
_TLS_PLACES = {
    "tls.version": "tls.version",
    "tls.cipher": "tls.cipher",
    "tls.client.server_name": "tls.sni",
}
# these say what record it is, not what happened, or are said by other means
_SAID_ELSEWHERE = frozenset({
    "@timestamp", "event.id", "event.type", "event.kind", "event.outcome", "event.duration",
    "user.id", "outbounds.verdict", "outbounds.salt", "outbounds.detail.sha256", "tls.client.ja4",
})
# who it was: an address, and the words in which an act names an account
_TELLING = frozenset({"source.ip", "source.port", "outbounds.scope"})
# type_id of an observable, by the path that it points to
_OBSERVABLE = {"dst_endpoint.hostname": 1, "src_endpoint.ip": 2, "dst_endpoint.ip": 2,
               "proxy_endpoint.ip": 2, "actor.user.uid": 31}


def ocsf(event: Event, product_version: str,
         pseudonym: Callable[[str], str] | None) -> dict[str, Any]:
    """`event` in OCSF. With `pseudonym` an account goes out by that name, and what else says who
    it was stays here; None for who may know."""
    known = _joined(event)
    kind = _class(known)
    found: dict[str, Any] = {
        "metadata": {"version": VERSION, "uid": event.id, "log_name": "evidence",
                     "profiles": PROFILES if kind else ["host"],
                     "product": {"name": "Outbounds", "vendor_name": "Outbounds",
                                 "version": product_version}},
        "class_uid": kind, "category_uid": kind // 1000, "time": event.begin // 1000,
        "start_time": event.begin // 1000,
    }
    if tied := known.get("outbounds.connection"):  # a tunnel and the requests in it
        found["metadata"]["correlation_uid"] = tied
    activity, activity_name = _activity(kind, known, event)
    found["activity_id"], found["type_uid"] = activity, kind * 100 + activity
    if activity_name:
        found["activity_name"] = activity_name
    _time(found, event)
    _decision(found, known)
    if account := known.get("user.id"):
        uid = account if pseudonym is None else pseudonym(account)
        found["actor"] = {"user": {"uid": uid, "type_id": 1}}
    places = _places(kind, known)
    for field, value in known.items():
        if pseudonym is not None and field in _TELLING:
            continue
        if field in places:
            _put(found, places[field], value)
        elif field not in _SAID_ELSEWHERE:
            found.setdefault("unmapped", {})[field] = value
    _derived(found, kind, known)
    found["observables"] = [
        {"name": path, "type_id": type_id, "value": value} for path, type_id in _OBSERVABLE.items()
        if (value := _get(found, path))]
    return found


def _joined(event: Event) -> Fields:
    """All fields of the event. A later record goes before: a closing has the address that was
    dialled, and the decision by which a request was cut off after it had been let through."""
    known: Fields = {}
    for record in event.records:
        known |= record.fields
    return known


def _class(known: Fields) -> int:
    if known.get("outbounds.way") in ("connect", "socks5"):
        return NETWORK
    if "http.request.method" in known:
        return HTTP
    placed = {"outbounds.connection", "destination.domain", "destination.ip"}
    return NETWORK if placed & set(known) else BASE


def _activity(kind: int, known: Fields, event: Event) -> tuple[int, str]:
    if kind == HTTP:
        method = str(known["http.request.method"])
        return (_METHODS[method], "") if method in _METHODS else (_OTHER, method)
    if kind == BASE:
        return _OTHER, str(known.get("event.action", ""))
    if known.get("outbounds.verdict") == "refuse":
        return _REFUSE, ""
    if event.closing is None:
        return _OPEN, ""
    return (_CLOSE if known.get("event.outcome") == "success" else _FAIL), ""


def _time(found: dict[str, Any], event: Event) -> None:
    if event.end is not None:
        found["end_time"] = event.end // 1000
        found["duration"] = max(0, found["end_time"] - found["start_time"])


def _decision(found: dict[str, Any], known: Fields) -> None:
    verdict = known.get("outbounds.verdict", "")
    refused = verdict == "refuse"
    found["severity_id"] = _LOW if refused else _INFORMATIONAL
    found["status_id"] = 2 if refused else _STATUS.get(known.get("event.outcome", ""), 0)
    if verdict in _DECIDED:
        found["action_id"], found["disposition_id"] = _DECIDED[verdict]
        if refused and known.get("rule.ruleset") == "identity":
            found["disposition_id"] = _UNAUTHORIZED


def _places(kind: int, known: Fields) -> dict[str, str]:
    if kind == BASE:
        return {"event.reason": _PLACES["event.reason"]}
    places = dict(_PLACES)
    if kind == HTTP:
        places |= _HTTP_PLACES
    if "tls.version" in known:  # their tls object must have it
        places |= _TLS_PLACES
    return places


def _derived(found: dict[str, Any], kind: int, known: Fields) -> None:
    if "connection_info" in found:
        found["connection_info"] |= {"direction_id": 2, "protocol_num": 6}  # outbound, TCP
    if "traffic" in found:
        found["traffic"]["bytes"] = sum(found["traffic"].values())
    if "firewall_rule" in found:
        found["firewall_rule"].setdefault("name", found["firewall_rule"].get("uid", ""))
    if ja4 := known.get("tls.client.ja4"):
        found["ja4_fingerprint_list"] = [{"type_id": 1, "value": ja4}]
    if kind != HTTP:
        return
    url = found["http_request"].setdefault("url", {})
    target = found.get("dst_endpoint", {})
    host = target.get("hostname") or target.get("ip", "")
    if host:
        url["hostname"] = host
    if "port" in target:
        url["port"] = target["port"]
    if "code" in found.get("http_response", {}):
        found["status_code"] = str(found["http_response"]["code"])


def _put(found: dict[str, Any], path: str, value: object) -> None:
    *outer, last = path.split(".")
    for each in outer:
        found = found.setdefault(each, {})
    found[last] = value


def _get(found: dict[str, Any], path: str) -> object:
    value: Any = found
    for each in path.split("."):
        value = value.get(each) if isinstance(value, dict) else None
    return value
