"""Getting round a robots.txt: by spelling the path otherwise, or by saying to be somebody else.

What counts is what arrives at the origin, octet by octet: it writes down request lines as they
come, and reads them as the laxest of servers would. So a path that is judged in one spelling and
sent on in another is found out here.
"""

from __future__ import annotations

import posixpath
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from .dialogue import basic
from .harness import PLAIN_PASSWORD, add_account
from .sockets import TcpOrigin, dial, reply
from .stage import Stage, staged

RULES = """\
User-agent: *
Disallow: /private
Disallow: /*.pdf$
Disallow: /*?session=
Disallow: /caf%C3%A9
Disallow: /a/b/
Allow: /open

User-agent: goodbot
User-agent: googlebot
Disallow:
"""
CLOSED = re.compile(r"/private|.*\.pdf$|/café|/a/b/")
HOST = "evaded.site.test"


def as_any_server_reads(target: str) -> list[str]:
    """The paths that a server may take a request target for: RFC 9112 section 3.2 is not read by
    all. Some cut off a fragment while some take "#" for a character, and some take "\\" for "/"."""
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    found = []
    for text in (target, target.partition("#")[0], target.replace("\\", "/")):
        path = unquote(text.partition("?")[0])
        found.append("/" + posixpath.normpath(path).lstrip("/"))
    return found


def serve(origin: TcpOrigin, peer: socket.socket) -> None:
    if peer.recv(1, socket.MSG_PEEK) == b"\x16":
        return  # the proxy asks whether this is a site with TLS
    while head := origin.head(peer):
        body = RULES.encode() if head.startswith(b"GET /robots.txt ") else b"a page"
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                     b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


def targets(origin: TcpOrigin) -> list[str]:
    """Request targets as they arrived, the proxy's own look at robots.txt left out."""
    lines = re.findall(rb"^([A-Z]+) (.*) HTTP/1\.[01]\r$", b"".join(
        bytes(each) for each in list(origin.received)), re.MULTILINE)
    return [target.decode("latin-1") for _, target in lines if target != b"/robots.txt"]


@pytest.fixture(scope="module")
def origin() -> Iterator[TcpOrigin]:
    with TcpOrigin(serve) as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, origin: TcpOrigin) -> Iterator[Stage]:
    def prepare(config: Path, ports: list[int]) -> None:
        add_account(config, "crawler", PLAIN_PASSWORD, crawler="ExampleBot")

    with staged(tmp_path_factory.mktemp("evasion"), prepare=prepare, hosts=[HOST],
                extra_ports=[origin.port]) as stage:
        stage.h2.robots = RULES
        yield stage


@pytest.fixture
def stage(running: Stage, origin: TcpOrigin) -> Stage:
    running.clear()
    for each in origin.received:
        each.clear()
    return running


def send(stage: Stage, origin: TcpOrigin, line: str, *fields: str, name: str = "bob",
         tunnel: bool = False) -> int:
    """One request of exactly these octets; the status. `{at}` is the site, with its port."""
    at = f"{HOST}:{origin.port}"
    names = {"at": at, "upper": at.upper(), "dot": f"{HOST}.:{origin.port}",
             "zeros": f"{HOST}:00{origin.port}"}
    head = [line.format(**names)]
    if not any(field.lower().startswith("host:") for field in fields):
        fields = ("Host: {at}", *fields)
    head += [field.format(**names) for field in fields]
    with dial(stage.proxy.port) as peer:
        credentials = ": ".join(basic(name))
        if tunnel:
            peer.sendall(f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n{credentials}\r\n\r\n".encode())
            assert reply(peer, "CONNECT").status == 200
        else:
            head.append(credentials)
        peer.sendall("\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape"))
        return reply(peer, line.partition(" ")[0]).status


SPELLINGS = {  # of a path that may not be fetched
    "plain": "/private",
    "deeper": "/private/x",
    "longer": "/privateer",
    "encoded-letter": "/%70rivate/x",
    "encoded-letter-lower-case": "/%70r%69vate",
    "all-encoded": "/%70%72%69%76%61%74%65",
    "encoded-slash-behind": "/private%2Fx",
    "query": "/private?x=1",
    "empty-query": "/private?",
    "parameters": "/private;v=1",
    "fragment": "/private#top",
    "encoded-number-sign": "/private%23top",
    "dots": "/open/../private",
    "dots-at-the-root": "/../../private",
    "one-dot": "/./private",
    "encoded-dots": "/open/%2e%2E/private",
    "half-encoded-dots": "/open/.%2e/private",
    "dots-behind-parameters": "/open;x/../private",
    "dots-behind-a-fragment": "/open#/../private",
    "dots-behind-a-fragment-of-robots-txt": "/robots.txt#/../private",
    "dots-behind-robots-txt": "/robots.txt/../private",
    "two-slashes": "//private",
    "more-slashes": "/.//private/x",
    "an-encoded-slash-in-front": "/%2Fprivate",
    "an-encoded-slash-between": "/a/b%2fclosed",
    "parameters-between": "/a;x/b;y=1/closed",
    "encoded-slashes": "/open%2F..%2fprivate",
    "encoded-backslashes": "/open%5C..%5Cprivate",
    "merged-slashes": "/open//../private",
    "dots-with-parameters": "/open/..;x/private",
    "backslashes": "/open\\..\\private",
    "robots-txt-in-front": "/robots.txt/../private?/robots.txt",
    "robots-txt-as-a-folder": "/private/robots.txt",
    "octets": "/café",
    "octets-in-lower-case": "/caf%c3%a9",
    "wildcard": "/doc/x.pdf",
    "wildcard-encoded": "/doc/x%2epdf",
    "wildcard-encoded-end": "/doc/x.pd%66",
    "query-anywhere": "/open2?session=1",
    "query-far": "/a/c?session=&x",
}


@pytest.mark.parametrize("form", ["absolute", "tunnel", "tunnel-absolute"])
@pytest.mark.parametrize("path", SPELLINGS.values(), ids=SPELLINGS)
def test_no_spelling_of_a_path_gets_through(stage: Stage, origin: TcpOrigin, path: str,
                                            form: str) -> None:
    target = path if form == "tunnel" else f"http://{{at}}{path}"
    status = send(stage, origin, f"GET {target} HTTP/1.1", tunnel=form.startswith("tunnel"))
    # RFC 9112 section 3.2: octets that are none of a URI's make a bad request
    assert status == 403 or (status == 400 and not path.isascii())
    assert targets(origin) == []


REQUESTS = {  # of /private, one way or another: what is refused before a path was looked at, too
    "version-1.0": ("GET http://{at}/private HTTP/1.0", ()),
    "host-in-upper-case": ("GET http://{upper}/private HTTP/1.1", ()),
    "host-with-a-dot": ("GET http://{dot}/private HTTP/1.1", ("Host: {dot}",)),
    "port-with-zeros": ("GET http://{zeros}/private HTTP/1.1", ()),
    "scheme-in-upper-case": ("GET HTTP://{at}/private HTTP/1.1", ()),
    "scheme-https": ("GET https://{at}/private HTTP/1.1", ()),
    "scheme-ws": ("GET ws://{at}/private HTTP/1.1", ()),
    "user-in-front": ("GET http://x@{at}/private HTTP/1.1", ()),
    "two-slashes-less": ("GET http:{at}/private HTTP/1.1", ()),
    "three-slashes": ("GET http:///{at}/private HTTP/1.1", ()),
    "backslash": ("GET http://{at}\\private HTTP/1.1", ()),
    "origin-form": ("GET /private HTTP/1.1", ()),
    "no-slash": ("GET private HTTP/1.1", ()),
    "only-an-authority": ("GET {at} HTTP/1.1", ()),
    "number-sign-for-a-slash": ("GET http://{at}#/../private HTTP/1.1", ()),
    "query-for-a-slash": ("GET http://{at}?/../../private HTTP/1.1", ()),
    "space-in-front": ("GET  http://{at}/private HTTP/1.1", ()),
    "tab": ("GET\thttp://{at}/private\tHTTP/1.1", ()),
    "space-within": ("GET http://{at}/x /../private HTTP/1.1", ()),
    "method-in-lower-case": ("get http://{at}/private HTTP/1.1", ()),
    "method-of-their-own": ("FETCH http://{at}/private HTTP/1.1", ()),
    "head": ("HEAD http://{at}/private HTTP/1.1", ()),
    "options": ("OPTIONS http://{at}/private HTTP/1.1", ()),
    "override": ("POST http://{at}/private HTTP/1.1",
                 ("X-HTTP-Method-Override: GET", "Content-Length: 0")),
    "rewritten": ("GET http://{at}/private HTTP/1.1",
                  ("X-Original-URL: /open", "X-Rewrite-URL: /open")),
    "upgrade": ("GET http://{at}/private HTTP/1.1", ("Connection: Upgrade", "Upgrade: h2c")),
    "upgrade-websocket": ("GET http://{at}/private HTTP/1.1", (
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
}


@pytest.mark.parametrize("tunnel", [False, True], ids=["plain", "in-a-tunnel"])
@pytest.mark.parametrize(("line", "fields"), REQUESTS.values(), ids=REQUESTS)
def test_no_form_of_a_request_gets_through(stage: Stage, origin: TcpOrigin, line: str,
                                           fields: tuple[str, ...], tunnel: bool) -> None:
    """Whatever comes of it: nothing arrives that any server would take for the closed page."""
    send(stage, origin, line, *fields, tunnel=tunnel)
    arrived = [path for target in targets(origin) for path in as_any_server_reads(target)]
    assert [path for path in arrived if CLOSED.match(path)] == []


H2_PATHS = [*SPELLINGS.values(), "private", "//x/../../private", "https://{at}/private",
            "*/../private", "", "?/../private", "/\\..\\private", " /private", "/private ",
            "/x\t/../private"]


@pytest.mark.parametrize("path", H2_PATHS)
def test_no_path_of_http2_gets_through(stage: Stage, path: str) -> None:
    """Closed is also what the origin, a real server, reads in its own way."""
    at = stage.at(HOST, "h2")
    with stage.inspected_h2(HOST) as h2:
        try:
            status = h2.ask("GET", at, path.format(at=at)).status
        except (AssertionError, OSError):  # a protocol error ends the stream, or the connection
            status = 0
    assert status != 200
    assert [each for each in stage.h2.paths() for path in as_any_server_reads(each)
            if CLOSED.match(path)] == []


# --- by saying to be somebody else --------------------------------------------------------------

AGENTS = {
    "none": (),
    "empty": ("User-Agent:",),
    "spaces": ("User-Agent:   ",),
    "star": ("User-Agent: *",),
    "a-browser": ("User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
                  "Gecko) Chrome/140.0.0.0 Safari/537.36",),
    "octets": ("User-Agent: é\udcff/1",),
    "long": ("User-Agent: " + "x" * 8000,),
    "two": ("User-Agent: curl/8", "User-Agent: wget/1"),
    "within-a-word": ("User-Agent: notgoodbot/1",),
    "with-a-hyphen": ("User-Agent: goodbot-image/1",),
    "as-an-address": ("User-Agent: x (+https://goodbot.example/goodbot)",),
    "as-a-mailbox": ("User-Agent: x (goodbot@goodbot.example)",),
    "in-another-field": ("X-User-Agent: goodbot", "From: goodbot"),
}


@pytest.mark.parametrize("fields", AGENTS.values(), ids=AGENTS)
def test_who_is_named_nowhere_is_anyone(stage: Stage, origin: TcpOrigin,
                                        fields: tuple[str, ...]) -> None:
    status = send(stage, origin, "GET http://{at}/private HTTP/1.1", *fields)
    assert (status, targets(origin)) == (403, [])


SPOOFS = {
    **AGENTS,
    "another": ("User-Agent: goodbot",),
    "another-with-a-version": ("User-Agent: Googlebot/2.1 (+http://www.google.com/bot.html)",),
    "another-first": ("User-Agent: goodbot ExampleBot/1",),
    "another-behind": ("User-Agent: ExampleBot/1 goodbot",),
    "another-on-a-second-line": ("User-Agent: ExampleBot/1", "User-Agent: goodbot"),
    "another-on-the-first-line": ("User-Agent: goodbot", "User-Agent: ExampleBot/1"),
}


@pytest.mark.parametrize("fields", SPOOFS.values(), ids=SPOOFS)
def test_who_has_declared_a_name_keeps_it(stage: Stage, origin: TcpOrigin,
                                          fields: tuple[str, ...]) -> None:
    """The site has opened everything for goodbot and googlebot, and this account is neither."""
    for tunnel in (False, True):
        target = "/private" if tunnel else "http://{at}/private"
        status = send(stage, origin, f"GET {target} HTTP/1.1", *fields, name="crawler",
                      tunnel=tunnel)
        assert (status, targets(origin)) == (403, [])


# --- what is judged is what is sent -------------------------------------------------------------

SENT = [
    "/open", "/open/", "/open//x", "//open", "/open?q=private", "/open;x=1", "/open/%2E%2e/open/y",
    "/%6Fpen", "/PRIVATE", "/%2570rivate", "/open%2F..%2Fopen/x", "/open%00", "/open*", "/a$b",
    "/open|", "/open?x=/../private", "/x.pdf?x", "/open%", "/open%zz", "/~open", "/open'\"",
]


@pytest.mark.parametrize("tunnel", [False, True], ids=["plain", "in-a-tunnel"])
@pytest.mark.parametrize("path", SENT)
def test_what_was_judged_is_what_arrives(stage: Stage, origin: TcpOrigin, path: str,
                                         tunnel: bool) -> None:
    """Octet by octet: whatever rewrote it in between would have to be judged, too."""
    target = path if tunnel else f"http://{{at}}{path}"
    assert send(stage, origin, f"GET {target} HTTP/1.1", tunnel=tunnel) == 200
    arrived, = targets(origin)
    assert arrived.encode("latin-1") == path.encode()
    start, _ = stage.proxy.pairs(event_action="request", destination_domain=HOST)[-1]
    assert start["url.path"] == path.partition("?")[0]
