"""What went wrong with the target, from the words mitmproxy has for it.

mitmproxy reports a failed connection as text: the OSError's, OpenSSL's or its own. The table says
which of our refusals each stands for; what nobody recognises is `target-unreachable` before a
connection stood and `target-protocol` after. The customer gets our sentence, never the raw text,
which may hold bytes that the target sent.
"""

from __future__ import annotations

import re

from ..core.verdict import Kind, Verdict, refuse

_TABLE: tuple[tuple[re.Pattern[str], Kind, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, detail)
    for pattern, kind, detail in (
        (r"^nobody approved", Kind.FAULT, "This request was changed after it had been judged."),
        (r"does not resolve|no addresses|name or service not known|looking up", Kind.NO_SUCH_HOST,
         "{host} does not resolve."),
        (r"certificate verify failed|hostname mismatch", Kind.TARGET_TLS,
         "The certificate of {host} cannot be verified."),
        # "connection closed" alone is what mitmproxy says of a TLS handshake that breaks off
        (r"openssl|does not speak tls|tls version|\btls\b|alert|^connection closed$",
         Kind.TARGET_TLS,
         "No TLS connection with {host} could be agreed."),
        (r"timed? ?out|errno 110", Kind.TARGET_TIMEOUT, "{host} did not answer in time."),
        (r"connect call failed|errno 111|refused|unreachable|errno 11[0-9]|errno 10[0-9]",
         Kind.UNREACHABLE, "No connection to {host} could be made."),
        (r"server closed connection|parse http response|protocol error|unexpected server|"
         r"from server|reset by", Kind.TARGET_PROTOCOL,
         "{host} closed the connection or did not answer in valid HTTP."),
    ))


def verdict_for(message: str, host: str, *, connected: bool) -> Verdict:
    """The refusal that a failure between us and the target amounts to."""
    # the name of the target is often part of the words: tls.example being away is no matter of TLS
    message = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "", message, flags=re.IGNORECASE)
    for pattern, kind, detail in _TABLE:
        if pattern.search(message):
            return refuse("upstream", kind, detail.format(host=host), rule=kind.slug)
    kind = Kind.TARGET_PROTOCOL if connected else Kind.UNREACHABLE
    return refuse("upstream", kind, f"The exchange with {host} failed.", rule=kind.slug)
