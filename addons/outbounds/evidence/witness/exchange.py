"""One HTTP request to a witness, with everything about the answer bounded."""

from __future__ import annotations

import http.client
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from ... import __version__

MAX_REPLY = 256 * 1024  # octets
TIMEOUT = 10.0          # s for each step: connecting, TLS, each read; `asking` bounds the whole


class NoAnswer(Exception):
    """The exchange failed before there was an answer. The message says how."""


class Reply(NamedTuple):
    status: int
    content_type: str
    body: bytes

    @property
    def said(self) -> str:
        """Its first words, as they may be shown to an operator."""
        text = self.body[:200].decode("utf-8", "replace")
        return "".join(c if c.isprintable() else " " for c in text).strip()


def post(url: str, body: bytes, content_type: str) -> Reply:
    """TLS certificates are verified against the system's roots (or $SSL_CERT_FILE); a redirect is
    an answer like any other. Raises NoAnswer."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT,
                                    context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, body, {
            "Content-Type": content_type, "User-Agent": f"outbounds/{__version__}",
            "Accept-Encoding": "identity"})
        response = connection.getresponse()
        octets = response.read(MAX_REPLY + 1)
        if len(octets) > MAX_REPLY:
            raise NoAnswer(f"{url}: the reply is longer than {MAX_REPLY} octets")
        if response.length:  # what was announced and did not come: reading a part says nothing
            raise NoAnswer(f"{url}: the reply ended {response.length} octets early")
        kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        return Reply(response.status, kind, octets)
    except TimeoutError:
        raise NoAnswer(f"{url}: no answer within {TIMEOUT:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{url}: {error or type(error).__name__}") from None
    finally:
        connection.close()
