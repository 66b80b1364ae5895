"""The format of a record: the name in the log of each attribute, and its bound.

Names are those of the Elastic Common Schema where it has one, and begin with `outbounds.` where it
has none. A change here is a change of the format, which `schema` publishes. The order is that of
the stored bytes.
"""

from __future__ import annotations

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
