"""Talking to the proxy octet by octet: one connection, HTTP/1.1 (h11) or HTTP/2 (h2) on it.

Real clients hide what the wire contract promises: they follow, retry, pool, and read reason phrases
away. h11 and h2 are strict, so a reply that they take is a well-formed one; and what is left unread
between two replies would be an error.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h11

from .harness import PASSWORD, PLAIN_PASSWORD

Fields = Iterable[tuple[str, str]]


def basic(name: str = "alice", password: str = "") -> tuple[str, str]:
    """A Proxy-Authorization field."""
    password = password or (PASSWORD if name == "alice" else PLAIN_PASSWORD)
    token = base64.b64encode(f"{name}:{password}".encode()).decode()
    return "Proxy-Authorization", f"Basic {token}"


@dataclass(frozen=True)
class Answer:
    """A reply. `headers` in order, names in lower case."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return any(key == name.lower() for key, _ in self.headers)

    @property
    def problem(self) -> dict[str, Any]:
        assert self["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def record_id(self) -> str:
        match = re.fullmatch(r"urn:uuid:([0-9a-f]{8}-[0-9a-f-]{27})", self.problem["instance"])
        assert match, self.problem["instance"]
        return match[1]

    @property
    def octets(self) -> str:
        """All of it as text, to look for what must not be there."""
        return f"{self.reason}\n{self.headers}\n{self.body.decode('utf-8', 'replace')}"


class Dialogue:
    """A connection to the proxy, from the loopback address `source`, that is used again and
    again."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", seconds: float = 10.0) -> None:
        self.socket: socket.socket = socket.create_connection(
            ("127.0.0.1", port), seconds, source_address=(source, 0))
        self._parser = h11.Connection(h11.CLIENT)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def local_port(self) -> int:
        return int(self.socket.getsockname()[1])

    def ask(self, method: str, target: str, fields: Fields = (), body: bytes = b"") -> Answer:
        """One request and its whole reply; the connection can be used again afterwards."""
        self.send(method, target, fields, body)
        return self.answer()

    def send(self, method: str, target: str, fields: Fields = (), body: bytes = b"") -> None:
        fields = list(fields)
        if not any(name.lower() == "host" for name, _ in fields):
            host = re.sub(r"^https?://|/.*$", "", target)
            fields.append(("Host", host))
        if body:
            fields.append(("Content-Length", str(len(body))))
        events = [h11.Request(method=method, target=target, headers=fields)]
        events += [h11.Data(data=body)] if body else []
        events += [h11.EndOfMessage()]
        self.socket.sendall(b"".join(self._parser.send(event) or b"" for event in events))

    def answer(self) -> Answer:
        head, body = None, b""
        while True:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                self._parser.receive_data(self.socket.recv(65536))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif event is h11.PAUSED:
                break  # a CONNECT was let through
            else:
                raise AssertionError(f"{event}: no reply")
        assert head is not None
        if self._parser.our_state is h11.DONE and self._parser.their_state is h11.DONE:
            self._parser.start_next_cycle()
        return Answer(head.status_code, head.reason.decode(),
                      tuple((n.decode(), v.decode("latin-1")) for n, v in head.headers), body)

    @property
    def reusable(self) -> bool:
        """Whether the last reply left the connection open for another request."""
        return self._parser.our_state is h11.IDLE

    def closed_by_proxy(self, seconds: float = 5.0) -> bool:
        """Whether the proxy ends the connection in that time, without sending anything."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    # --- tunnels --------------------------------------------------------------------------------

    def connect(self, authority: str, fields: Fields = ()) -> Answer:
        """A CONNECT. After a 200 the connection is the tunnel, for `start_tls` or HTTP in clear."""
        answer = self.ask("CONNECT", authority, fields)
        if answer.status == 200:
            self._parser = h11.Connection(h11.CLIENT)
        return answer

    def start_tls(self, sni: str, ca: Path, *, h2: bool = False) -> H2Dialogue | None:
        """TLS with the peer, or with the proxy that inspects; with `h2` the HTTP/2 client on it."""
        context = ssl.create_default_context(cafile=str(ca))
        context.set_alpn_protocols(["h2"] if h2 else ["http/1.1"])
        inner = context.wrap_socket(self.socket, server_hostname=sni)
        self.socket = inner
        if not h2:
            return None
        assert inner.selected_alpn_protocol() == "h2"
        return H2Dialogue(inner)


class H2Dialogue:
    """Requests one after the other over one HTTP/2 connection."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        # what a hostile client may send, too
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False))
        self._h2.initiate_connection()
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def ask(self, method: str, authority: str, path: str, fields: Fields = ()) -> Answer:
        stream = self._h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":path", path)]
        if authority:
            pseudo.append((":authority", authority))
        headers = [*pseudo, *((name.lower(), value) for name, value in fields)]
        self._h2.send_headers(stream, headers, end_stream=True)
        self._flush()
        head: list[tuple[str, str]] = []
        body = b""
        while True:
            data = self._socket.recv(65536)
            assert data, "the proxy closed the connection"
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                    head = [(str(name), str(value)) for name, value in event.headers]
                elif isinstance(event, h2.events.DataReceived) and event.stream_id == stream:
                    body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                    self._flush()
                    return Answer(int(dict(head)[":status"]), "", tuple(head[1:]), body)
                elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    raise AssertionError(f"no reply: {event}")
            self._flush()
