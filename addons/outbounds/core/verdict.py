"""What a decision says, and the table that fixes how each refusal looks on the wire.

A verdict is `allow`, `pace` (let through after a wait) or `refuse`. A refusal has a `Kind`; the
kind alone decides the status code and the Proxy-Status error type, so that a control can never
invent a combination that clients have not been promised. Sources: RFC 9110 (status codes),
RFC 7725 (451), RFC 6585 (429), RFC 9209 section 2.3 (Proxy-Status error types).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Result(StrEnum):
    ALLOW = "allow"
    PACE = "pace"
    REFUSE = "refuse"


class Kind(Enum):
    """Why a request was refused: (slug, HTTP status, title, RFC 9209 error type)."""

    UNAUTHENTICATED = ("credentials-required", 407, "Credentials required", "http_request_denied")
    LIMIT = ("limit-reached", 429, "Limit reached", "http_request_denied")
    SUSPENDED = ("account-suspended", 403, "Account suspended", "http_request_denied")
    DENIED = ("destination-denied", 403, "Destination denied", "http_request_denied")
    ADDRESS = ("address-denied", 403, "Address denied", "destination_ip_prohibited")
    PROTOCOL = ("protocol-denied", 403, "Protocol denied", "http_request_denied")
    ROBOTS = ("robots-disallowed", 403, "Disallowed by robots.txt", "http_request_denied")
    LEGAL = ("legal-demand", 451, "Unavailable for legal reasons", "http_request_denied")
    MISDIRECTED = ("misdirected-request", 421, "Misdirected request", "http_request_error")
    MALFORMED = ("malformed-request", 400, "Malformed request", "http_request_error")
    HEAD_TIMEOUT = ("head-timeout", 408, "Request head took too long", "http_request_error")
    BODY_TIMEOUT = ("body-timeout", 408, "Request body took too long", "http_request_error")
    FLOOD = ("flood", 429, "Too much that asks for nothing", "http_request_error")
    HEAD_TOO_LARGE = ("head-too-large", 431, "Request head too large", "http_request_error")
    FAULT = ("internal-fault", 503, "Internal fault", "proxy_internal_error")
    EVIDENCE = ("evidence-unavailable", 503, "Evidence log unavailable", "proxy_internal_error")
    NO_SUCH_HOST = ("no-such-host", 502, "Target name does not resolve", "dns_error")
    UNREACHABLE = ("target-unreachable", 502, "Target unreachable", "destination_unavailable")
    TARGET_TIMEOUT = ("target-timeout", 504, "Target did not answer in time", "connection_timeout")
    TARGET_TLS = ("target-tls", 502, "TLS with the target failed", "tls_protocol_error")
    TARGET_PROTOCOL = (
        "target-protocol", 502, "The target's reply was not valid HTTP", "http_protocol_error")

    def __init__(self, slug: str, status: int, title: str, proxy_error: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title
        self.proxy_error = proxy_error


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The state of the limit closest to its edge, for RateLimit and RateLimit-Policy.

    `quota` of `unit` per `window` seconds; `remaining` of them are left and the full quota is
    back in `reset` seconds (draft-ietf-httpapi-ratelimit-headers, sections 3 and 4). `unit` is
    one of the draft's quota units: request, content-bytes or concurrent-requests.
    """

    name: str
    quota: int
    window: float
    remaining: int
    reset: float
    unit: str = "request"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a decision.

    `control` is where it was taken ("" for an allow), `rule` the id of the configured entry and
    `clause` the policy clause it serves. `detail` is one sentence for the customer and never
    holds a secret. `retry_after` and `wait` are seconds; `retry_after` is None where coming back
    later would not help.
    """

    result: Result
    control: str = ""
    kind: Kind | None = None
    rule: str = ""
    clause: str = ""
    detail: str = ""
    retry_after: float | None = None
    wait: float = 0.0
    rate_limit: RateLimit | None = None
    blocked_by: str = ""

    @property
    def allowed(self) -> bool:
        return self.result is not Result.REFUSE


ALLOW = Verdict(Result.ALLOW)


def refuse(
    control: str,
    kind: Kind,
    detail: str,
    *,
    rule: str = "",
    clause: str = "",
    retry_after: float | None = None,
    rate_limit: RateLimit | None = None,
    blocked_by: str = "",
) -> Verdict:
    """Build a refusal. `kind` fixes status and Proxy-Status error type."""
    return Verdict(
        Result.REFUSE, control, kind, rule, clause, detail, retry_after, 0.0, rate_limit, blocked_by
    )
