"""From a mitmproxy flow to a core Request: one meaning, or none."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from mitmproxy import connection, http

from outbounds.core.destination import parse_host
from outbounds.core.request import Credentials, Name, Way
from outbounds.identity.basic import MALFORMED
from outbounds.proxy.edge import Malformed, http_request, source_of, take_credentials
from outbounds.proxy.route_fields import RouteFields
from outbounds.settings.rules import ForgedHeaders

ROUTE_FIELDS = RouteFields(
    ForgedHeaders.model_construct(action="strip", names=("Via",), clause="P-forge"))


def client(peer: Any = ("192.0.2.7", 5000), sni: str | None = None) -> connection.Client:
    made = connection.Client(peername=peer, sockname=("127.0.0.1", 8080), timestamp_start=0.0)
    made.sni = sni
    return made


def flow(*fields: tuple[str, str], host: str = "site.example", port: int = 80,
         scheme: str = "http", method: str = "GET", path: str = "/page?q=1", authority: str = "",
         sni: str | None = None) -> http.HTTPFlow:
    made = http.HTTPFlow(client(sni=sni), connection.Server(address=(host, port)))
    made.request = http.Request(
        host, port, method.encode(), scheme.encode(), authority.encode(), path.encode(),
        b"HTTP/1.1", http.Headers([(name.encode(), value.encode("utf-8", "surrogateescape"))
                                   for name, value in fields]), b"", None, 0.0, 0.0)
    return made


def canonical(made: http.HTTPFlow, way: Way = Way.PLAIN,
              credentials: Credentials | None = None) -> Any:
    return http_request(made, way, credentials, ROUTE_FIELDS)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


# --- credentials --------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "credentials"), [
    ([], None),
    ([basic("ada:pw")], Credentials("ada", "pw")),
    ([basic("ada:pass:word")], Credentials("ada", "pass:word")),  # the first colon
    ([basic("ada:")], Credentials("ada", "")),
    # sent but unreadable: a failed attempt, which must not fall back on the source network
    (["Bearer abc"], MALFORMED), ([""], MALFORMED), (["Basic %%%"], MALFORMED),
    ([basic("no-colon")], MALFORMED),
])
def test_credentials_are_read(fields: list[str], credentials: Credentials | None) -> None:
    made = flow(*[("Proxy-Authorization", value) for value in fields])
    assert take_credentials(made.request) == credentials


def test_every_trace_of_them_is_removed() -> None:
    made = flow(("Host", "site.example"), ("PROXY-Authorization", basic("ada:pw")),
                ("Proxy-Connection", "keep-alive"), ("proxy-authenticate", "x"),
                ("Authorization", "Bearer for-the-target"), ("Cookie", "a=b"))
    take_credentials(made.request)
    assert [name for name, _ in made.request.headers.items()] == [
        "Host", "Authorization", "Cookie"]


def test_two_of_them_are_malformed_and_gone_all_the_same() -> None:
    made = flow(("Proxy-Authorization", basic("a:b")), ("proxy-authorization", basic("c:d")))
    with pytest.raises(Malformed, match="more than once"):
        take_credentials(made.request)
    assert not made.request.headers.fields


# --- the target ---------------------------------------------------------------------------------


def test_a_plain_request() -> None:
    request = canonical(flow(("Host", "site.example"), ("User-Agent", "FooBot/1")),
                        credentials=Credentials("ada", "pw"))
    assert (request.way, request.method, request.scheme, request.host, request.port,
            request.path, request.user_agent) == (
        Way.PLAIN, "GET", "http", parse_host("site.example"), 80, "/page?q=1", "FooBot/1")
    assert request.names == (Name("Host", parse_host("site.example")),)
    assert (request.source.ip, request.source.port) == ("192.0.2.7", 5000)
    assert request.credentials == Credentials("ada", "pw") and request.route_fields == ()


@pytest.mark.parametrize(("host", "text"), [
    ("SITE.Example.", "site.example"), ("0x7f.1", "127.0.0.1"), ("2130706433", "127.0.0.1"),
    ("::ffff:127.0.0.1", "127.0.0.1"), ("BüCHER.example", "xn--bcher-kva.example"),
])
def test_what_is_dialled_is_canonical(host: str, text: str) -> None:
    assert canonical(flow(host=host)).host.text == text


@pytest.mark.parametrize("host", ["", "a b", "a..b", "exa%6dple", "user@site.example", "[::1",
                                  "1.2.3.4.5", "x" * 300])
def test_what_has_no_canonical_form_is_malformed(host: str) -> None:
    with pytest.raises(Malformed):
        canonical(flow(host=host))


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_ports_that_do_not_exist(port: int) -> None:
    with pytest.raises(Malformed, match=f"Port {port} does not exist"):
        canonical(flow(port=port))


@pytest.mark.parametrize(("port", "scheme"), [(443, "https"), (80, "http"), (8443, "https")])
def test_a_connect_shows_no_path(port: int, scheme: str) -> None:
    request = canonical(flow(method="CONNECT", port=port, path="", authority=f"site.example:{port}",
                             scheme=""), Way.CONNECT)
    assert (request.path, request.scheme, request.port) == ("", scheme, port)
    assert request.names == ()


def test_the_method_is_taken_as_it_will_be_sent() -> None:
    """Methods are case-sensitive (RFC 9110 section 9.1); mitmproxy's accessor is not."""
    assert canonical(flow(method="get")).method == "get"


# --- other names of the target ------------------------------------------------------------------


@pytest.mark.parametrize(("made", "way", "names"), [
    (flow(), Way.PLAIN, []),
    (flow(("Host", "Other.example:8080")), Way.PLAIN, [("Host", "other.example", 8080)]),
    (flow(("Host", "[2001:db8::1]:80")), Way.PLAIN, [("Host", "2001:db8::1", 80)]),
    (flow(("Host", "site.example"), method="CONNECT"), Way.CONNECT,
     [("Host", "site.example", None)]),
    (flow(authority="other.example"), Way.INSPECTED, [(":authority", "other.example", None)]),
    (flow(("Host", "a.example"), authority="b.example:1", sni="c.example"), Way.INSPECTED,
     [("Host", "a.example", None), (":authority", "b.example", 1), ("SNI", "c.example", None)]),
    # the SNI of the connection to the proxy itself is not the target's
    (flow(sni="proxy.example"), Way.PLAIN, []),
])
def test_names(made: http.HTTPFlow, way: Way, names: list[Any]) -> None:
    assert [(name.where, name.host.text, name.port) for name in canonical(made, way).names] == names


@pytest.mark.parametrize("value", ["", "a b", "site.example:port", "a..b", "site.example:99999",
                                   "user@site.example", "site.example/x", "site.example,b"])
def test_a_host_field_that_names_no_host_is_malformed(value: str) -> None:
    with pytest.raises(Malformed, match=r"^Host does not name a host\.$"):
        canonical(flow(("Host", value)))


def test_two_hosts_are_malformed_even_if_they_are_the_same() -> None:
    with pytest.raises(Malformed, match="more than once"):
        canonical(flow(("Host", "site.example"), ("host", "site.example")))


def test_a_malformed_sni_is_malformed() -> None:
    with pytest.raises(Malformed, match="SNI"):
        canonical(flow(sni="a..b"), Way.INSPECTED)


# --- the rest -----------------------------------------------------------------------------------


def test_route_fields_are_named_and_stay_for_now() -> None:
    made = flow(("Via", "1.1 x"), ("Accept", "*/*"))
    assert canonical(made).route_fields == ("via",)
    assert "via" in made.request.headers  # the protocol control decides what becomes of them


def test_every_user_agent_counts() -> None:
    """A second field must not hide the name that a robots.txt knows."""
    made = flow(("User-Agent", "curl/8"), ("user-agent", "FooBot/1"))
    assert canonical(made).user_agent == "curl/8, FooBot/1"


def test_octets_that_are_no_utf8_survive() -> None:
    assert canonical(flow(("User-Agent", "B\udcffot"))).user_agent == "B\udcffot"


@pytest.mark.parametrize(("peer", "ip"), [
    (("192.0.2.7", 5000), "192.0.2.7"), (("2001:db8::7", 5000, 0, 0), "2001:db8::7"),
    (("fe80::1%eth0", 5000, 0, 2), "fe80::1")])
def test_the_source(peer: Any, ip: str) -> None:
    made = client(peer)
    source = source_of(made)
    assert (source.ip, source.port, source.connection) == (ip, 5000, made.id)


def test_a_message_for_the_customer_holds_no_secret() -> None:
    made = flow(("Host", "ada:hunter2@site.example"))
    with pytest.raises(Malformed) as caught:
        canonical(made)
    assert "hunter2" not in str(caught.value)
