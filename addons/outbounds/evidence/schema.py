"""The published format of records: JSON Schema (draft 2020-12), made from `fields.FIELDS`.

A stored line is two JSON texts, so there are two schemas, under "$defs": "envelope" and "detail".
The document itself describes either, and the placeholder that stands for an erased record. Bounds
are of bytes (UTF-8) in the log; "maxLength" counts characters, of which there are never more.
"""

from __future__ import annotations

from typing import Any

from .fields import DETAIL, FIELDS
from .record import CONNECTION, END, START

Schema = dict[str, Any]

_HASH = "^[0-9a-f]{64}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"
_PORT: Schema = {"minimum": 1, "maximum": 65535}
_SIGNED = ("clock_offset",)
REQUIRED = ("timestamp", "id", "type", "kind", "action", "session")

# attribute: what it is, and what more than its bound is known of it
SAID: dict[str, tuple[str, Schema]] = {
    "timestamp": ("When the record was made, in UTC.", {"pattern": _TIME}),
    "id": ("UUIDv7 that all records of one event share.", {
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"}),
    "type": ("Opening, connection to the target, or closing.", {"enum": [START, CONNECTION, END]}),
    "kind": ("Always an event.", {"enum": ["event"]}),
    "action": ("What happened: request, tunnel, robots-fetch, …", {}),
    "session": ("One run of the process that made the record.", {"pattern": "^[A-Za-z0-9-]+$"}),
    "begin": ("When a span that ends here began.", {"pattern": _TIME}),
    "outcome": ("What came of it.", {"enum": ["success", "failure", "unknown"]}),
    "reason": ("Why, in words; nothing that a client sent is quoted.", {}),
    "duration": ("Nanoseconds from the opening.", {}),
    "user_id": ("The account.", {}),
    "operator": ("Who did it, on the service's side.", {}),
    "source_ip": ("The client's address.", {}),
    "source_port": ("The client's port.", _PORT),
    "source_bytes": ("Octets from the client through a tunnel.", {}),
    "source_nat_ip": ("Our own address towards the target (egress).", {}),
    "source_nat_port": ("Our own port towards the target (egress).", _PORT),
    "destination_domain": ("The target's name, canonical.", {}),
    "destination_ip": ("The target's address, as dialled; for our own fetches those that may be, "
                       "with commas between.", {}),
    "destination_port": ("The target's port.", _PORT),
    "destination_bytes": ("Octets from the target through a tunnel.", {}),
    "network_transport": ("Transport protocol.", {}),
    "network_protocol": ("Application protocol, where it is none of HTTP.", {}),
    "http_request_method": ("Method.", {}),
    "http_version": ("Version of HTTP that the client spoke.", {}),
    "url_scheme": ("Scheme.", {}),
    "url_path": ("Path; what looks like a token in it is a keyed hash (h:…).", {}),
    "url_query": ("Names of the parameters, each with a keyed hash of its value.", {}),
    "url_fragment": ("Keyed hash.", {"pattern": "^h:[0-9a-f]{16}$"}),
    "user_agent": ("User-Agent.", {}),
    "http_request_bytes": ("Octets of the request's body.", {}),
    "http_response_status_code": ("Status that the client was answered.",
                                  {"minimum": 100, "maximum": 999}),
    "http_response_bytes": ("Octets of the response's body.", {}),
    "tls_server_name": ("Server name that the client asked for in TLS.", {}),
    "tls_ja4": ("JA4 of the client's ClientHello.", {
        "pattern": "^t[0-9a-z]{2}[di][0-9]{4}[0-9A-Za-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}$"}),
    "tls_version": ("Version of TLS with the client.", {}),
    "tls_cipher": ("Cipher suite with the client.", {}),
    "tls_next_protocol": ("ALPN with the client.", {}),
    "rule_id": ("The rule that decided.", {}),
    "rule_ruleset": ("The control that it belongs to.", {}),
    "rule_reference": ("The clause of the policy that it serves.", {}),
    "verdict": ("The decision.", {"enum": ["allow", "pace", "refuse"]}),
    "wait": ("Nanoseconds that the request was held back.", {}),
    "way": ("How the client came in.", {
        "enum": ["plain", "connect", "socks5", "inspected", "clear"]}),
    "connection": ("The client's connection: ties a tunnel to its requests.", {}),
    "visibility": ("Whether paths were seen, or only the tunnel.", {"enum": ["full", "tunnel"]}),
    "policy_version": ("The policy in force.", {}),
    "lists_version": ("What the denylists held.", {}),
    "rule_category": ("Labels of the list entry that denied.", {}),
    "robots_sha256": ("The robots.txt that was asked.", {"pattern": _HASH}),
    "robots_line": ("The line of it that decided.", {}),
    "robots_state": ("What became of it: fresh, absent, unreachable, …", {}),
    "robots_scope": ("How much of the request it could judge.", {}),
    "robots_age": ("Seconds since the site last said so.", {}),
    "robots_agent": ("Whose rules the line is from.", {}),
    "robots_exempt": ("Why the rules do not bind.", {}),
    "robots_usage": ("Uses that the file allows and does not.", {}),
    "robots_tag": ("X-Robots-Tag of the answer.", {}),
    "robots_content_usage": ("Content-Usage of the answer.", {}),
    "exception": ("Ids of the dated exceptions that were used.", {}),
    "observed": ("What a control that only observes would have refused.", {}),
    "cut": ("Names of the fields that were cut to their bounds.", {}),
    "trace_id": ("Of the request's traceparent.", {"pattern": "^[0-9a-f]{32}$"}),
    "parent_id": ("Of the request's traceparent.", {"pattern": "^[0-9a-f]{16}$"}),
    "clock_offset": ("Nanoseconds that our clock was behind the true time, as far as known.", {}),
    "clock_error": ("Nanoseconds that our clock can have been wrong at most.", {}),
    "case": ("The case that it was done for.", {}),
    "scope": ("What it was done to.", {}),
    "count": ("To how many records.", {}),
    "salt": ("128 random bits, in a record without a detail.", {"pattern": "^[0-9a-f]{32}$"}),
    "detail": ("SHA-256 of the detail's octets.", {"pattern": _HASH}),
}


def _property(attribute: str) -> Schema:
    bound = FIELDS[attribute][1]
    said, more = SAID[attribute]
    if bound:
        return {"description": said, "type": "string", "minLength": 1, "maxLength": bound, **more}
    least: Schema = {} if attribute in _SIGNED else {"minimum": 1}
    return {"description": said, "type": "integer", **least, **more}


def _only_in(type: str, attribute: str) -> Schema:
    return {"if": {"properties": {FIELDS["type"][0]: {"const": type}}},
            "then": {"required": [FIELDS[attribute][0]]}}


def record_schema() -> Schema:
    """The JSON Schema of a record's envelope and detail."""
    envelope: Schema = {
        "description": "Who, when, where, and what was decided: the leaf of the Merkle log.",
        "type": "object",
        "properties": {FIELDS[each][0]: _property(each) for each in FIELDS if each not in DETAIL},
        "required": [FIELDS[each][0] for each in REQUIRED],
        "oneOf": [{"required": [FIELDS["salt"][0]]}, {"required": [FIELDS["detail"][0]]}],
        "allOf": [_only_in(END, "outcome"), _only_in(CONNECTION, "source_nat_port")],
        "additionalProperties": False,
    }
    detail: Schema = {
        "description": "What can be erased without touching the log.",
        "type": "object",
        "properties": {"salt": {"description": "128 random bits.", "type": "string",
                                "pattern": "^[0-9a-f]{32}$"},
                       **{FIELDS[each][0]: _property(each) for each in DETAIL}},
        "required": ["salt"],
        "minProperties": 2,
        "additionalProperties": False,
    }
    erased: Schema = {
        "description": "Stands for a record that was removed; the hash is its leaf's.",
        "type": "object",
        "properties": {"outbounds.erased": {"type": "string", "pattern": _HASH}},
        "required": ["outbounds.erased"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:outbounds:evidence:record",
        "title": "A record of evidence: its envelope, or its detail",
        "oneOf": [{"$ref": f"#/$defs/{each}"} for each in ("envelope", "detail", "erased")],
        "$defs": {"envelope": envelope, "detail": detail, "erased": erased},
    }
