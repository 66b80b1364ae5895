"""How a verdict looks on the wire.

Every refusal carries Proxy-Status (RFC 9209), so that a client can tell our 429 from the target's;
a body in application/problem+json (RFC 9457), or a short HTML page where Accept prefers one; and
what its status asks for: Proxy-Authenticate (RFC 9110 section 11.7.1), Retry-After (section
10.2.3), RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), Link with
rel="blocked-by" (RFC 7725 section 4). The refusal of a CONNECT says why in its reason phrase too,
because that is all that most clients show. A reply never holds a credential: it is built from the
verdict alone.
"""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import dataclass

from mitmproxy import http

from ..core.verdict import RateLimit, Verdict

STATUS_PHRASES = {
    400: "Bad Request", 403: "Forbidden", 407: "Proxy Authentication Required",
    408: "Request Timeout", 421: "Misdirected Request", 429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def to_response(self, *, head: bool = False) -> http.Response:
        """`head`: answer to a HEAD, which has the length of its body but not the body."""
        fields = [(name.encode("ascii"), value.encode("ascii")) for name, value in self.headers]
        return http.Response(
            b"HTTP/1.1", self.status, self.reason.encode("ascii"), http.Headers(fields),
            b"" if head else self.body, None, 0.0, 0.0)

    def to_bytes(self) -> bytes:
        """The reply as HTTP/1.1 octets, for where mitmproxy has no flow to hang a response on."""
        head = [f"HTTP/1.1 {self.status} {self.reason}"]
        head += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(head).encode("ascii") + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Replies:
    """`name` is how this proxy names itself in Proxy-Status; `realm` what a 407 asks for."""

    name: str = "outbounds"
    realm: str = "outbounds"

    def refusal(self, verdict: Verdict, record_id: str, *, accept: str = "",
                connect: bool = False, close: bool = False) -> Reply:
        """The reply to a refused request.

        `connect`: say why in the reason phrase; `close`: announce that the connection ends here.
        """
        kind = verdict.kind
        assert kind is not None
        retry = retry_after_seconds(verdict.retry_after)
        headers = [("Proxy-Status", proxy_status(self.name, kind.proxy_error, verdict.detail))]
        if kind.status == 407:
            headers.append(
                ("Proxy-Authenticate", f'Basic realm={quoted(self.realm)}, charset="UTF-8"'))
        if retry is not None:
            headers.append(("Retry-After", str(retry)))
        if verdict.rate_limit is not None:
            headers += rate_limit_fields(verdict.rate_limit)
        if verdict.blocked_by:
            headers.append(("Link", f'<{ascii_only(verdict.blocked_by)}>; rel="blocked-by"'))
        if prefers_html(accept):
            body, content_type = html_body(verdict, record_id, retry), "text/html; charset=utf-8"
        else:
            body, content_type = problem(verdict, record_id, retry), "application/problem+json"
        headers += [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        if close:
            headers.append(("Connection", "close"))
        reason = STATUS_PHRASES[kind.status]
        if connect:
            reason = reason_phrase(f"{kind.title}: {verdict.detail}")
        return Reply(kind.status, reason, tuple(headers), body)


def retry_after_seconds(seconds: float | None) -> int | None:
    """Whole seconds, rounded up: a client that waits this long must not come too early."""
    return None if seconds is None else max(1, math.ceil(seconds))


def problem(verdict: Verdict, record_id: str, retry: int | None) -> bytes:
    """RFC 9457 problem details."""
    kind = verdict.kind
    assert kind is not None
    fields: dict[str, str | int] = {
        "type": f"urn:outbounds:problem:{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": verdict.detail,
        "instance": f"urn:uuid:{record_id}",
        "control": verdict.control,
        "rule": verdict.rule,
        "clause": verdict.clause,
    }
    if retry is not None:
        fields["retry_after"] = retry
    # a detail may quote octets of the request that were no UTF-8
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{status} {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1rem;\
color:#1d2330;background:#fff}}h1{{font-size:1.5rem;margin:0 0 .5rem}}small{{color:#5b6472}}\
dl{{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:1.5rem 0}}\
dt{{color:#5b6472}}dd{{margin:0;overflow-wrap:anywhere}}\
@media(prefers-color-scheme:dark){{body{{color:#e6e9ef;background:#14171d}}\
small,dt{{color:#9aa3b2}}}}</style></head>
<body><small>{status}</small><h1>{title}</h1><p>{detail}</p><dl>{rows}</dl>
<small>This answer comes from the proxy, not from the site. When you ask your provider about it,
give the reference above.</small></body></html>
"""


def html_body(verdict: Verdict, record_id: str, retry: int | None) -> bytes:
    kind = verdict.kind
    assert kind is not None
    rows = [("Control", verdict.control), ("Rule", verdict.rule), ("Clause", verdict.clause),
            ("Come back in", f"{retry} s" if retry is not None else ""),
            ("Reference", f"urn:uuid:{record_id}")]
    cells = "".join(
        f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in rows if value)
    page = _PAGE.format(status=kind.status, title=html.escape(kind.title),
                        detail=html.escape(verdict.detail), rows=cells)
    return page.encode("utf-8", "replace")


def rate_limit_fields(state: RateLimit) -> list[tuple[str, str]]:
    """RateLimit-Policy and RateLimit. What is held has no window, hence no `w` and `t`. The quota
    unit `qu` is named where it is not the draft's default, request."""
    name = quoted(state.name)
    unit = "" if state.unit == "request" else f";qu={quoted(state.unit)}"
    if not state.window:
        return [("RateLimit-Policy", f'{name};q={state.quota};qu="concurrent-requests"'),
                ("RateLimit", f"{name};r={state.remaining}")]
    window = max(1, round(state.window))
    return [("RateLimit-Policy", f"{name};q={state.quota}{unit};w={window}"),
            ("RateLimit", f"{name};r={state.remaining};t={math.ceil(state.reset)}")]


def proxy_status(name: str, error: str, details: str) -> str:
    """One member of RFC 9209's Proxy-Status list. A name that is no token becomes a string."""
    me = name if re.fullmatch(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*", name) else quoted(name)
    return f"{me}; error={error}; details={quoted(details)}"


def ascii_only(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def quoted(text: str) -> str:
    """A structured-field string (RFC 8941 section 3.3.3): printable ASCII, quote and \\ escaped."""
    return '"' + ascii_only(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def reason_phrase(text: str, limit: int = 200) -> str:
    """RFC 9112 section 4: no control characters; bounded, since clients print it on one line."""
    text = ascii_only(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def prefers_html(accept: str) -> bool:
    """Whether Accept (RFC 9110 section 12.5.1) ranks text/html above JSON. Absent: JSON."""
    ranges: dict[str, float] = {}
    for item in accept.lower().split(","):
        media, *params = (part.strip() for part in item.split(";"))
        ranges[media] = min((_quality(each[2:]) for each in params if each.startswith("q=")),
                            default=1.0)

    def best(*most_specific_first: str) -> float:
        return next((ranges[each] for each in most_specific_first if each in ranges), 0.0)

    # a client that takes anything gets JSON: a browser names text/html
    return best("text/html", "text/*") > best(
        "application/problem+json", "application/json", "application/*", "*/*")


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
