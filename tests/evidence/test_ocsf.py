"""OCSF 1.3.0, event by event: each written out by hand from the framework's own descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from outbounds.evidence.decision import closing, connection, opening
from outbounds.evidence.fields import FIELDS
from outbounds.evidence.line import flat
from outbounds.evidence.ocsf import ocsf
from outbounds.evidence.ocsf_schema import ocsf_schema
from outbounds.evidence.record import Encoder, Record
from outbounds.evidence.search import Event, Found

AT = 1_795_219_387_000_250_999
SECOND = 1_000_000_000
ID = "01a1fe82-6211-7872-a02c-4259b4bf882a"
ENCODER = Encoder("session-1", b"k" * 32)
CHECK = Draft202012Validator(ocsf_schema())
EGRESS, DIALLED = ("192.0.2.1", 40_123), ("198.51.100.7", 443)


def made(action: str, ending: dict[str, Any] | None = None, *, target: str = "",
         connected: bool = False, **known: Any) -> Event:
    start = opening(id=ID, at=AT, action=action)
    for name, value in known.items():
        setattr(start, name, value)
    records: list[tuple[Record, str]] = []
    if connected:
        records.append((connection(start, at=AT + SECOND, egress=EGRESS, dialled=DIALLED), ""))
    if ending is not None:
        records.append((closing(start, at=AT + 2 * SECOND, duration=2 * SECOND, **ending), ""))
    lines = [ENCODER.encode(*each) for each in [(start, target), *records]]
    return Event(ID, tuple(Found(at, flat(line)) for at, line in enumerate(lines)))


CLIENT = {"user_id": "a1", "source_ip": "203.0.113.9", "source_port": 51234, "connection": "c1"}
PLACE = {"destination_domain": "www.example.net", "destination_port": 443}
REQUEST = {**CLIENT, **PLACE, "http_request_method": "GET", "url_scheme": "https",
           "way": "inspected", "verdict": "allow", "http_version": "2", "user_agent": "Bot/1.0",
           "tls_version": "1.3", "tls_cipher": "TLS_AES_128_GCM_SHA256",
           "tls_server_name": "www.example.net", "policy_version": "abc",
           "tls_ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1"}
DONE = {"outcome": "success", "status": 200, "request_bytes": 5, "response_bytes": 7,
        "egress": EGRESS, "dialled": "198.51.100.7"}


def test_a_request_in_full() -> None:
    found = ocsf(made("request", DONE, connected=True, target="/item?id=5", **REQUEST), "6.0", None)
    query = found["http_request"]["url"].pop("query_string")
    assert query.startswith("id=h:")
    assert found == {
        "metadata": {"version": "1.3.0", "uid": ID, "log_name": "evidence",
                     "profiles": ["host", "network_proxy", "security_control"],
                     "product": {"name": "Outbounds", "vendor_name": "Outbounds",
                                 "version": "6.0"}, "correlation_uid": "c1"},
        "class_uid": 4002, "category_uid": 4, "activity_id": 3, "type_uid": 400203,
        "time": 1_795_219_387_000, "start_time": 1_795_219_387_000,
        "end_time": 1_795_219_389_000, "duration": 2000,
        "severity_id": 1, "status_id": 1, "status_code": "200",
        "action_id": 1, "disposition_id": 1,
        "actor": {"user": {"uid": "a1", "type_id": 1}},
        "src_endpoint": {"ip": "203.0.113.9", "port": 51234, "uid": "c1"},
        "dst_endpoint": {"hostname": "www.example.net", "ip": "198.51.100.7", "port": 443},
        "proxy_endpoint": {"ip": "192.0.2.1", "port": 40123},
        "connection_info": {"protocol_name": "tcp", "protocol_num": 6, "direction_id": 2},
        "http_request": {"http_method": "GET", "version": "2", "user_agent": "Bot/1.0",
                         "url": {"scheme": "https", "path": "/item", "port": 443,
                                 "hostname": "www.example.net"}},
        "http_response": {"code": 200},
        "traffic": {"bytes_out": 5, "bytes_in": 7, "bytes": 12},
        "tls": {"version": "1.3", "cipher": "TLS_AES_128_GCM_SHA256", "sni": "www.example.net"},
        "ja4_fingerprint_list": [
            {"type_id": 1, "value": "t13d1516h2_8daaf6152771_e5627efa2ab1"}],
        "policy": {"version": "abc"},
        "unmapped": {"event.action": "request", "outbounds.session": "session-1",
                     "outbounds.way": "inspected"},
        "observables": [
            {"name": "dst_endpoint.hostname", "type_id": 1, "value": "www.example.net"},
            {"name": "src_endpoint.ip", "type_id": 2, "value": "203.0.113.9"},
            {"name": "dst_endpoint.ip", "type_id": 2, "value": "198.51.100.7"},
            {"name": "proxy_endpoint.ip", "type_id": 2, "value": "192.0.2.1"},
            {"name": "actor.user.uid", "type_id": 31, "value": "a1"}],
    }


TUNNEL = {**CLIENT, **PLACE, "http_request_method": "CONNECT", "way": "connect",
          "verdict": "allow"}
REFUSED = {"verdict": "refuse", "rule_id": "r1", "rule_ruleset": "robots",
           "rule_reference": "P-robots", "reason": "No."}
FAILED = {"outcome": "failure", "status": 502, "reason": "no route"}


@pytest.mark.parametrize(("event", "expected"), [
    # HTTP Activity: the activity is the method
    (made("request", DONE, **REQUEST), {"type_uid": 400203, "status_id": 1}),
    (made("request", DONE, **{**REQUEST, "http_request_method": "POST"}), {"type_uid": 400206}),
    (made("request", DONE, **{**REQUEST, "http_request_method": "PATCH"}),
     {"type_uid": 400299, "activity_name": "PATCH"}),
    (made("request", **REQUEST), {"type_uid": 400203, "status_id": 0}),           # under way
    (made("request", FAILED, **REQUEST), {"status_id": 2, "status_detail": "no route",
                                          "status_code": "502", "disposition_id": 1}),
    (made("request", FAILED, **{**REQUEST, **REFUSED}),
     {"action_id": 2, "disposition_id": 2, "severity_id": 2, "status_id": 2,
      "firewall_rule": {"uid": "r1", "name": "r1", "type": "robots", "desc": "P-robots"}}),
    (made("request", FAILED, **{**REQUEST, **REFUSED, "rule_ruleset": "identity"}),
     {"disposition_id": 26}),
    (made("request", DONE, **{**REQUEST, "verdict": "pace", "wait": 5}),
     {"action_id": 1, "disposition_id": 14}),
    (made("robots-fetch", DONE, **PLACE, http_request_method="GET", verdict="allow"),
     {"class_uid": 4002}),
    # Network Activity
    (made("tunnel", **TUNNEL, ), {"type_uid": 400101}),                            # open
    (made("tunnel", DONE, **TUNNEL), {"type_uid": 400102,
                                      "traffic": {"bytes_out": 5, "bytes_in": 7, "bytes": 12}}),
    (made("tunnel", DONE, **{**TUNNEL, "way": "socks5"}), {"class_uid": 4001}),
    (made("tunnel", FAILED, **TUNNEL), {"type_uid": 400104}),
    (made("tunnel", FAILED, **{**TUNNEL, **REFUSED}), {"type_uid": 400105}),
    (made("malformed", FAILED, source_ip="203.0.113.9", connection="c1", verdict="refuse"),
     {"type_uid": 400105, "src_endpoint": {"ip": "203.0.113.9", "uid": "c1"}}),
    (made("tls-failure", FAILED, **CLIENT, **PLACE), {"type_uid": 400104}),
    # what commands did
    (made("evidence.unmask", {"outcome": "success"}, network_transport="", operator="kim",
          case="C-1", scope="trace of …"),
     {"class_uid": 0, "category_uid": 0, "type_uid": 99, "activity_name": "evidence.unmask",
      "unmapped": {"event.action": "evidence.unmask", "outbounds.session": "session-1",
                   "outbounds.operator": "kim", "outbounds.case": "C-1",
                   "outbounds.scope": "trace of …"}}),
])
@pytest.mark.parametrize("pseudonym", [None, lambda account: f"acct-{account}"])
def test_the_mapping(event: Event, expected: dict[str, Any],
                     pseudonym: Callable[[str], str] | None) -> None:
    found = ocsf(event, "6.0", pseudonym)
    CHECK.validate(found)
    if pseudonym is None:
        assert {name: found.get(name) for name in expected} == expected
    else:
        text = repr(found)
        assert "203.0.113.9" not in text and "51234" not in text and "'a1'" not in text
        assert "trace of" not in text
        assert found["type_uid"] == ocsf(event, "6.0", None)["type_uid"]


def test_nothing_is_lost() -> None:
    """Each field goes somewhere, whatever class the event is of."""
    # octets of a tunnel and of bodies have one place, and no event has both
    fixed = {"source_bytes", "destination_bytes", "timestamp", "id", "type", "kind", "action",
             "session", "begin", "url_path", "url_query", "url_fragment", "salt", "detail", "cut",
             "way"}
    known = {name: f"v{at}" if bound else 1000 + at
             for at, (name, (_, bound)) in enumerate(FIELDS.items()) if name not in fixed}
    elsewhere = {"event.type", "event.kind", "outbounds.detail.sha256", "@timestamp",
                 "event.outcome", "event.duration", "outbounds.verdict"}
    for way in ("plain", "connect", ""):
        event = made("request", target="/p?q=1#f", way=way, **known)
        out = repr(ocsf(event, "6.0", None))
        for name, value in event.records[0].fields.items():
            assert name in elsewhere or repr(value) in out, name
