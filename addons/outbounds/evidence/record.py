"""One record of evidence: flat JSON under Elastic Common Schema names, integers and strings only.

Everything that happens leaves records with the same `event.id`: an opening (`event.type` "start"),
safe on disk before anything reaches the target; a "connection" for each connection to the target
that was made for it, with the egress address and port, so that a tunnel which is still open can be
found by them; and a closing ("end") that says what came of it. The opening says who, what and
under which rule; the others add only what was not yet known. Fields that are empty or 0 are left
out.

A record is an *envelope* (who, when, where, verdict), which is what the log hashes, and a *detail*
(`DETAIL`: path, user agent and the like), which can be erased without touching the log: the
envelope holds the SHA-256 of the detail's bytes, and the detail begins with a salt of 128 bits, so
that nobody who is left with the hash can guess what was hashed. An envelope without a detail has
a salt of its own, since its hash outlives it, too. `line` says how the two are stored.

`FIELDS` is the format: the name in the log of each attribute, and the bound of its text in bytes.
The bytes made here are the bytes stored and the bytes hashed: no reader re-encodes them.
"""

from __future__ import annotations

import os
from hashlib import sha256

import msgspec

from .identifier import is_session, timestamp
from .privacy import Hasher, printable, scrubbed_agent, scrubbed_reason

START = "start"
CONNECTION = "connection"
END = "end"

# attribute: (name in the log, most bytes of text; 0 for an integer)
FIELDS: dict[str, tuple[str, int]] = {
    "timestamp": ("@timestamp", 32),
    "id": ("event.id", 36),
    "type": ("event.type", 16),
    "kind": ("event.kind", 16),
    "action": ("event.action", 64),
    "session": ("outbounds.session", 64),
    "begin": ("event.start", 32),                               # of a span that ends here
    "outcome": ("event.outcome", 16),
    "reason": ("event.reason", 512),
    "duration": ("event.duration", 0),                          # ns
    "user_id": ("user.id", 128),
    "operator": ("outbounds.operator", 64),                     # who did it, on the service's side
    "source_ip": ("source.ip", 64),
    "source_port": ("source.port", 0),
    "source_bytes": ("source.bytes", 0),                        # of a tunnel, from the client
    "source_nat_ip": ("source.nat.ip", 64),                     # egress
    "source_nat_port": ("source.nat.port", 0),
    "destination_domain": ("destination.domain", 255),
    "destination_ip": ("destination.ip", 64),
    "destination_port": ("destination.port", 0),
    "destination_bytes": ("destination.bytes", 0),              # of a tunnel, from the target
    "network_transport": ("network.transport", 16),
    "network_protocol": ("network.protocol", 16),
    "http_request_method": ("http.request.method", 32),
    "http_version": ("http.version", 16),
    "url_scheme": ("url.scheme", 16),
    "url_path": ("url.path", 2048),
    "url_query": ("url.query", 2200),                           # keys, and a keyed hash per value
    "url_fragment": ("url.fragment", 32),                       # a keyed hash
    "user_agent": ("user_agent.original", 512),
    "http_request_bytes": ("http.request.bytes", 0),
    "http_response_status_code": ("http.response.status_code", 0),
    "http_response_bytes": ("http.response.bytes", 0),
    "tls_server_name": ("tls.client.server_name", 255),
    "tls_ja4": ("tls.client.ja4", 40),                          # fingerprint of the ClientHello
    "tls_version": ("tls.version", 16),
    "tls_cipher": ("tls.cipher", 64),
    "tls_next_protocol": ("tls.next_protocol", 16),             # ALPN
    "rule_id": ("rule.id", 128),
    "rule_ruleset": ("rule.ruleset", 32),                       # the control
    "rule_reference": ("rule.reference", 64),                   # the policy clause
    "verdict": ("outbounds.verdict", 16),
    "wait": ("outbounds.wait", 0),                              # ns held back by pacing
    "way": ("outbounds.way", 16),
    "connection": ("outbounds.connection", 64),                 # ties a tunnel to its requests
    "visibility": ("outbounds.visibility", 16),                 # full | tunnel: no path was seen
    "policy_version": ("outbounds.policy.version", 64),
    "lists_version": ("outbounds.lists.version", 64),           # what the denylists held
    "rule_category": ("rule.category", 256),                    # labels of the entry that denied
    "robots_sha256": ("outbounds.robots.sha256", 64),
    "robots_line": ("outbounds.robots.line", 0),
    "robots_state": ("outbounds.robots.state", 16),
    "robots_scope": ("outbounds.robots.scope", 16),
    "robots_age": ("outbounds.robots.age", 0),                  # s since the site last said so
    "robots_agent": ("outbounds.robots.agent", 256),            # whose rules the line is from
    "robots_exempt": ("outbounds.robots.exempt", 256),          # why the rules do not bind
    "robots_usage": ("outbounds.robots.usage", 128),            # uses the file allows and not
    "robots_tag": ("outbounds.robots.tag", 512),                # the reply's X-Robots-Tag
    "robots_content_usage": ("outbounds.robots.content_usage", 256),  # the reply's Content-Usage
    "exception": ("outbounds.exception", 256),                  # ids of the dated exceptions used
    "observed": ("outbounds.observed", 512),                    # what "observe" did not refuse
    "cut": ("outbounds.cut", 256),                              # names of the fields that were cut
    "trace_id": ("trace.id", 32),                               # of the request's traceparent
    "parent_id": ("parent.id", 16),
    "clock_offset": ("outbounds.clock.offset", 0),              # ns ours is behind the true time
    "clock_error": ("outbounds.clock.error", 0),                # ns: the most that it can be wrong
    "case": ("outbounds.case", 64),                             # the case that it was done for
    "scope": ("outbounds.scope", 2048),                         # what it was done to
    "count": ("outbounds.count", 0),                            # to how many records
    "salt": ("outbounds.salt", 32),
    "detail": ("outbounds.detail.sha256", 64),                  # of the detail's bytes
}

# What an erasure takes away: it may say what was read, or by whom, beyond what an account is.
DETAIL = ("url_path", "url_query", "url_fragment", "user_agent", "robots_tag",
          "robots_content_usage", "trace_id", "parent_id")


class Record(
    msgspec.Struct,
    kw_only=True,
    omit_defaults=True,
    rename=lambda name: FIELDS[name][0],
):
    """One line, before it is encoded. `timestamp` as `identifier.timestamp` writes it, `id` from
    `identifier.new_id`. Text is given as it came: `Encoder.encode` cleans and bounds it."""

    timestamp: str
    id: str
    type: str
    kind: str
    action: str
    session: str = ""
    begin: str = ""
    outcome: str = ""
    reason: str = ""
    duration: int = 0
    user_id: str = ""
    operator: str = ""
    source_ip: str = ""
    source_port: int = 0
    source_bytes: int = 0
    source_nat_ip: str = ""
    source_nat_port: int = 0
    destination_domain: str = ""
    destination_ip: str = ""
    destination_port: int = 0
    destination_bytes: int = 0
    network_transport: str = ""
    network_protocol: str = ""
    http_request_method: str = ""
    http_version: str = ""
    url_scheme: str = ""
    url_path: str = ""
    url_query: str = ""
    url_fragment: str = ""
    user_agent: str = ""
    http_request_bytes: int = 0
    http_response_status_code: int = 0
    http_response_bytes: int = 0
    tls_server_name: str = ""
    tls_ja4: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    tls_next_protocol: str = ""
    rule_id: str = ""
    rule_ruleset: str = ""
    rule_reference: str = ""
    verdict: str = ""
    wait: int = 0
    way: str = ""
    connection: str = ""
    visibility: str = ""
    policy_version: str = ""
    lists_version: str = ""
    rule_category: str = ""
    robots_sha256: str = ""
    robots_line: int = 0
    robots_state: str = ""
    robots_scope: str = ""
    robots_age: int = 0
    robots_agent: str = ""
    robots_exempt: str = ""
    robots_usage: str = ""
    robots_tag: str = ""
    robots_content_usage: str = ""
    exception: str = ""
    observed: str = ""
    cut: str = ""
    trace_id: str = ""
    parent_id: str = ""
    clock_offset: int = 0
    clock_error: int = 0
    case: str = ""
    scope: str = ""
    count: int = 0
    salt: str = ""
    detail: str = ""


class Detail(
    msgspec.Struct,
    omit_defaults=True,
    rename=lambda name: FIELDS[name][0] if name in FIELDS else name,
):
    """The erasable part of a record. `salt` comes first."""

    salt: str = msgspec.field(name="salt")
    url_path: str = ""
    url_query: str = ""
    url_fragment: str = ""
    user_agent: str = ""
    robots_tag: str = ""
    robots_content_usage: str = ""
    trace_id: str = ""
    parent_id: str = ""


_TEXTS = tuple((name, bound) for name, (_, bound) in FIELDS.items() if bound)
_encode = msgspec.json.Encoder().encode


class Encoder:
    """Makes the lines of one proxy process. `session` names that run (1 to 64 letters, digits and
    hyphens; `new_id` makes a good one), `key` is `privacy.load_key`'s."""

    def __init__(self, session: str, key: bytes) -> None:
        if not is_session(session):
            raise ValueError(f"session {session!r}: must be 1 to 64 letters, digits and hyphens")
        self.session = session
        self._hash = Hasher(key)

    def encode(self, record: Record, target: str = "") -> bytes:
        """`record` as one line (see `line`), ending in a newline; changes `record` on the way: its
        detail is moved out of it.

        `target` is the request target as received (origin or absolute form, with its query):
        it alone fills `url.path`, `url.query` and `url.fragment`, so that no caller can put a
        query value into a record. Never raises for any text.
        """
        record.session = self.session
        query_cut = self._split(record, target)
        if record.reason:
            record.reason = scrubbed_reason(record.reason)
        if record.observed:
            record.observed = scrubbed_reason(record.observed)
        if record.user_agent:
            record.user_agent = scrubbed_agent(record.user_agent[:1024])
        if record.robots_agent:
            record.robots_agent = scrubbed_agent(record.robots_agent[:1024])
        if "@" in record.destination_domain:
            record.destination_domain = record.destination_domain.rpartition("@")[2]
        cut = ["url.query"] if query_cut else []
        for name, bound in _TEXTS:
            text = getattr(record, name)
            if text and not (len(text) <= bound and text.isascii() and text.isprintable()):
                text, was_cut = printable(text, bound)
                setattr(record, name, text)
                if was_cut:
                    cut.append(FIELDS[name][0])
        if cut:
            record.cut = " ".join(cut)[:FIELDS["cut"][1]]
        return _line(record)

    def _split(self, record: Record, target: str) -> bool:
        path, _, fragment = target.partition("#")
        path, _, query = path.partition("?")
        record.url_path = self._hash.path(path)
        record.url_fragment = self._hash(fragment) if fragment else ""
        if not query:
            record.url_query = ""
            return False
        record.url_query, cut = self._hash.query(query)
        return cut


def orphan(id: str, action: str, session: str, at: int, reason: str) -> bytes:
    """The closing line that the collector itself writes for an opening whose maker is gone."""
    return _line(Record(timestamp=timestamp(at), id=id, type=END, kind="event", action=action,
                        session=session, outcome="unknown", reason=reason))


def _line(record: Record) -> bytes:
    salt = os.urandom(16).hex()
    held = [getattr(record, name) for name in DETAIL]
    if not any(held):
        record.salt, record.detail = salt, ""
        return _encode(record) + b"\n"
    detail = _encode(Detail(salt, *held))
    for name in DETAIL:
        setattr(record, name, "")
    record.salt, record.detail = "", sha256(detail).hexdigest()
    return b"%b\t%b\n" % (_encode(record), detail)
