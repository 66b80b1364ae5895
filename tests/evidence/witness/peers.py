"""Witnesses that the tests run: they share no code with what they witness.

`WitnessServer` is written from C2SP tlog-witness and tlog-cosignature, with the consistency proof
verified the way RFC 6962 section 2.1.2 defines it, top down; `Authority` is `openssl ts`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

type Answer = tuple[int, str, bytes]
type Answering = Callable[[str, bytes], Answer]


@contextlib.contextmanager
def serving(answer: Answering, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of a server that answers each POST (path, body) so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, octets = answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            with contextlib.suppress(OSError):  # it may have heard enough
                self.wfile.write(octets)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def speaking(octets: bytes | None, reset: bool = False) -> Iterator[str]:
    """The URL of a server that answers whatever comes with these octets and ends the connection
    (with a reset); with None it never says anything."""
    over = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                _take(connection)
                if octets is None:
                    over.wait()
                    continue
                connection.sendall(octets)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.close()


def _take(connection: socket.socket) -> None:
    """All of a request: what is left unread when a connection is closed resets it."""
    with connection.makefile("rb") as file:
        length = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        file.read(length)


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    """PROOF(m, D[n]) of RFC 6962 section 2.1.2, read backwards."""
    left = list(proof)

    def subproof(m: int, n: int, whole: bool) -> tuple[bytes, bytes]:
        if m == n:
            found = old_root if whole else left.pop()
            return found, found
        k = 1
        while k * 2 < n:
            k *= 2
        sibling = left.pop()
        if m <= k:
            before, after = subproof(m, k, whole)
            return before, node(after, sibling)
        before, after = subproof(m - k, n - k, False)
        return node(sibling, before), node(sibling, after)

    try:
        return subproof(old, new, True) == (old_root, new_root) and not left
    except IndexError:
        return False


class WitnessServer:
    """`known`: the origin and raw public key of the log it witnesses. `skew` is added to its
    clock, `forge` signs with a key that is not its own."""

    def __init__(self, origin: str, key: bytes, name: str = "witness.example.net/w1") -> None:
        self.name, self.origin, self._log_key = name, origin, key
        self._key = Ed25519PrivateKey.generate()
        self.size, self.root = 0, hashlib.sha256().digest()
        self.skew, self.forge = 0, False
        self.asked: list[bytes] = []

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n\x04" + self.public).digest()[:4]

    @property
    def verifier(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(b'\x04' + self.public).decode()}"

    def answer(self, path: str, body: bytes) -> Answer:
        self.asked.append(body)
        if path != "/add-checkpoint":
            return 404, "text/plain", b"no such page"
        head, _, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        text, _, signatures = note.partition("\n\n")
        text += "\n"
        origin, size_text, root_text = text.split("\n")[:3]
        size, root = int(size_text), base64.b64decode(root_text)
        if origin != self.origin:
            return 404, "text/plain", b"unknown log"
        if not self._signed(text, signatures):
            return 403, "text/plain", b"unknown key"
        assert first.startswith("old ")
        old = int(first.removeprefix("old "))
        if old > size:
            return 400, "text/plain", b"the old size is larger"
        if old != self.size:
            return 409, "text/x.tlog.size", b"%d\n" % self.size
        proof = [base64.b64decode(line) for line in lines]
        fine = (not proof if old == 0 else root == self.root and not proof if old == size
                else consistent(old, self.root, size, root, proof))
        if not fine:
            return 422, "text/plain", b"not consistent"
        self.size, self.root = size, root
        return 200, "text/plain", self._cosign(text)

    def _signed(self, text: str, signatures: str) -> bool:
        for line in signatures.splitlines():
            _, name, octets = line.split(" ")
            if name != self.origin:
                continue
            with contextlib.suppress(InvalidSignature):
                Ed25519PublicKey.from_public_bytes(self._log_key).verify(
                    base64.b64decode(octets)[4:], text.encode())
                return True
        return False

    def _cosign(self, text: str) -> bytes:
        at = int(time.time()) + self.skew
        key = Ed25519PrivateKey.generate() if self.forge else self._key
        signed = key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        octets = base64.b64encode(self.id + struct.pack(">Q", at) + signed).decode()
        stranger = base64.b64encode(b"abcd" + bytes(72)).decode()  # to be ignored
        return f"— other.example.net/w9 {stranger}\n— {self.name} {octets}\n".encode()


class Authority:
    """A time stamp authority in `folder`: a root, a certificate for it, and `openssl ts`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root.pem"
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(f"""[tsa]
default_tsa = t
[t]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.13762.3
digests = sha256
accuracy = secs:1
[ext]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
""")
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key",
                      "-out", "root.pem", "-subj", "/CN=Root", "-days", "30",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out",
                      "tsa.csr", "-subj", "/CN=Stamps")
        self._openssl("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key",
                      "-CAcreateserial", "-extfile", "tsa.cnf", "-extensions", "ext", "-out",
                      "tsa.pem", "-days", "20")

    def answer(self, _: str, body: bytes) -> Answer:
        (self.folder / "query").write_bytes(body)
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
        return 200, "application/timestamp-reply", (self.folder / "reply").read_bytes()

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)
