"""What a tunnel carries, by its first octets. Each opening is one that the cited source shows, or
that software in use sends; whatever the pieces it arrives in, the answer is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import ACCOUNT, NOW, POLICY, grant, tunnel
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.core.case import Case
from outbounds.core.rules import Grant
from outbounds.core.tunnel_protocols import (
    MAX_CLIENT,
    MAX_GREETING,
    MAX_LINE,
    MAX_SERVER,
    Opening,
    refusal,
    request_line,
)

ALL = ("smtp", "ssh", "ftp", "irc", "nntp")
C, S = "client", "server"
Steps = list[tuple[str, bytes]]
HELLO = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"

# (what is said, what it is, octets passed on of the client's and of the server's)
CARRIED: list[tuple[Steps, str, int, int]] = [
    # RFC 5321 section 4.3.1, and as Postfix, Exim, Exchange and Gmail greet
    ([(S, b"220 foo.com Simple Mail Transfer Service Ready: SMTP\r\n")], "smtp", 0, 0),
    ([(S, b"220 mail.example ESMTP Postfix\r\n")], "smtp", 0, 0),
    ([(S, b"220-mail.example ESMTP Exim 4.98\r\n220-no unsolicited mail\r\n220 ok\r\n")],
     "smtp", 0, 0),
    ([(S, b"220 mail.example LMTP Dovecot ready.\r\n")], "smtp", 0, 0),  # RFC 2033 section 4.1
    # a greeting need not name itself; then the client's word does
    ([(S, b"220 ready\r\n"), (C, b"EHLO me\r\n")], "smtp", 0, 11),
    ([(S, b"220 ready\r\n"), (C, b"mail FROM:<a@b.example>\r\n")], "smtp", 0, 11),
    ([(S, b"220 ready\r\n"), (C, b"NOOP\r\n")], "smtp", 0, 11),
    ([(S, b"220 ready\r\n"), (C, b"\x00\x01\x02\x03\x04\x05\x06\x07")], "smtp", 0, 11),
    # before any greeting, in one go, behind rubbish, behind white space
    ([(C, b"EHLO me\r\nMAIL FROM:<a@b.example>\r\n")], "smtp", 0, 0),
    ([(C, b"helo me\r\n")], "smtp", 0, 0),
    ([(C, b"LHLO me\r\n")], "smtp", 0, 0),
    ([(C, b"\r\n \tEHLO me\r\n")], "smtp", 0, 0),
    ([(C, b"XYZZY\r\n"), (C, b"MAIL FROM:<a@b.example>\r\n")], "smtp", 7, 0),
    ([(C, b"\x01\x02"), (S, b"220 ready\r\n")], "smtp", 2, 0),
    # RFC 4253 section 4.2: either side, and a server may send lines before
    ([(C, b"SSH-2.0-OpenSSH_9.9\r\n")], "ssh", 0, 0),
    ([(S, b"SSH-2.0-OpenSSH_9.9\r\n")], "ssh", 0, 0),
    ([(S, b"SSH-1.99-Cisco-1.25\n")], "ssh", 0, 0),
    ([(S, b"Authorised use only\r\nSSH-2.0-x\r\n")], "ssh", 0, 0),
    ([(S, b"Authorised use only\r\n"), (S, b"SSH-2.0-x\r\n")], "ssh", 0, 21),
    # RFC 959 section 5.4, and as vsftpd, ProFTPD and FileZilla greet
    ([(S, b"220 (vsFTPd 3.0.5)\r\n")], "ftp", 0, 0),
    ([(S, b"220 ProFTPD Server ready.\r\n")], "ftp", 0, 0),
    ([(S, b"220-FTP\r\n220 Welcome\r\n")], "ftp", 0, 0),
    ([(S, b"220 Welcome\r\n"), (C, b"USER anonymous\r\n")], "ftp", 0, 13),
    ([(S, b"220 smtp.example FTP ready\r\n"), (C, b"user a\r\n")], "ftp", 0, 28),
    ([(C, b"USER a\r\nPASS b\r\nPASV\r\n")], "ftp", 0, 0),
    # RFC 3977 section 5.1
    ([(S, b"200 news.example InterNetNews NNRP server INN 2.7 ready\r\n")], "nntp", 0, 0),
    ([(S, b"201 NNTP Service Ready, posting prohibited\r\n")], "nntp", 0, 0),
    ([(S, b"200 welcome\r\n"), (C, b"LIST\r\n")], "nntp", 0, 13),
    ([(C, b"MODE READER\r\n")], "nntp", 0, 0),
    ([(C, b"AUTHINFO USER x\r\n")], "nntp", 0, 0),
    ([(C, b"IHAVE <a@b.example>\r\n")], "nntp", 0, 0),
    # RFC 2812 section 3.1; IRCv3 capability negotiation
    ([(C, b"CAP LS 302\r\n")], "irc", 0, 0),
    ([(C, b"NICK a\r\nUSER a 0 * :A\r\n")], "irc", 0, 0),
    ([(C, b"PASS x\r\nNICK a\r\n")], "irc", 0, 0),
    ([(S, b":irc.example NOTICE * :*** Looking up your hostname\r\n")], "irc", 0, 0),
    ([(S, b"NOTICE AUTH :*** Looking up\r\n")], "irc", 0, 0),
    ([(C, b"WHO\r\n"), (S, b":irc.example 451 * :You have not registered\r\n")], "irc", 5, 0),
    # RFC 9112 section 2.2 and 3
    ([(C, b"GET / HTTP/1.1\r\n")], "http", 0, 0),
    ([(C, b"\r\nbrew / HTTP/1.1\r\n")], "http", 0, 0),
]

# what is none of them, once it is known
OTHERS: list[Steps] = [
    [(S, b"* OK IMAP4rev1 ready\r\n"), (C, b"a CAPABILITY\r\n")],       # RFC 9051
    [(S, b"+OK POP3 ready\r\n"), (C, b"USER a\r\n")],                   # RFC 1939
    [(S, b"RFB 003.008\n"), (C, b"RFB 003.008\n")],                     # RFC 6143
    [(S, b"\x4a\x00\x00\x00\x0a8.0.40\x00"), (C, b"\x20\x00\x00\x01")],  # MySQL
    [(C, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (S, b"S")],              # PostgreSQL, SSLRequest
    [(C, b"PING\r\n"), (S, b"+PONG\r\n")],                              # Redis
    [(C, b"\x10\x10\x00\x04MQTT\x04\x02"), (S, b"\x20\x02\x00\x00")],   # MQTT
    [(C, b"AMQP\x00\x00\x09\x01"), (S, b"\x01\x00\x00")],               # AMQP 0-9-1
    [(C, b"HELLO\r\n"), (S, b"HI\r\n")],
    [(C, b"\x00"), (S, b"\x01")],
    [(C, b"email HELO\r\n"), (S, b"2200\r\n")],
    [(C, b"y"), (S, b"221 bye\r\n")],
]


def hear(steps: Steps, refused: tuple[str, ...] = ALL) -> Opening:
    opening = Opening(refused)
    for who, octets in steps:
        (opening.from_client if who == C else opening.from_server)(octets)
        assert not (opening.found and opening.over)
    return opening


@pytest.mark.parametrize(("steps", "name", "client", "server"), CARRIED)
def test_what_a_tunnel_carries(steps: Steps, name: str, client: int, server: int) -> None:
    opening = hear(steps)
    assert opening.found == name
    assert (opening.client_passable, opening.server_passable) == (client, server)


@pytest.mark.parametrize(("steps", "name"), [(steps, name) for steps, name, *_ in CARRIED])
def test_octet_by_octet_it_is_the_same(steps: Steps, name: str) -> None:
    opening = Opening(ALL)
    passed = {C: 0, S: 0}
    for who, octets in steps:
        for octet in octets:
            (opening.from_client if who == C else opening.from_server)(bytes([octet]))
            now = {C: opening.client_passable, S: opening.server_passable}
            assert now[C] >= passed[C] and now[S] >= passed[S]  # what is passed on is gone
            passed = now
    assert opening.found == name


@pytest.mark.parametrize(("steps", "name"), [(steps, name) for steps, name, *_ in CARRIED
                                             if name != "http"])
def test_what_is_not_refused_is_not_looked_for(steps: Steps, name: str) -> None:
    others = tuple(each for each in ALL if each != name and {each, name} != {"smtp", "ftp"})
    assert hear(steps, others).found == ""


@pytest.mark.parametrize("steps", OTHERS)
def test_what_is_none_of_them(steps: Steps) -> None:
    opening = hear(steps)
    assert (opening.found, opening.over) == ("", True)
    sent = [sum(len(octets) for who, octets in steps if who == side) for side in (C, S)]
    assert [opening.client_passable, opening.server_passable] == sent


@pytest.mark.parametrize("steps", OTHERS)
def test_where_nothing_is_refused_the_first_octets_decide(steps: Steps) -> None:
    assert hear(steps, ()).over


def test_both_that_greet_alike_are_told_apart_if_one_is_permitted() -> None:
    greeting, user, ehlo = (S, b"220 ready\r\n"), (C, b"USER a\r\n"), (C, b"EHLO a\r\n")
    assert hear([greeting, user], ("smtp",)).over
    assert hear([greeting, ehlo], ("ftp",)).over
    assert hear([greeting, user], ("ftp",)).found == "ftp"
    assert hear([greeting, (C, b"QUIT\r\n")], ("ftp",)).found == "ftp"


def test_no_client_waits_for_a_server_that_waits_for_it() -> None:
    """What one side alone has said is passed on, unless it may begin a refused one."""
    assert hear([(C, b"PING\r\n")]).client_passable == 6
    assert hear([(S, b"RFB 003.008\n")]).server_passable == 12
    assert hear([(S, b"220 ready\r\n")]).server_passable == 11
    assert hear([(S, b"2")]).server_passable == 0
    assert hear([(C, b"x\r\nEHL")]).client_passable == 3


def test_a_client_hello_is_searched_and_its_server_must_speak_tls() -> None:
    opening = Opening(ALL)
    opening.from_client(HELLO, tls=True)
    assert (opening.client_passable, opening.over) == (len(HELLO), False)
    opening.from_server(b"\x16\x03\x03\x00\x7a")
    assert opening.over
    for greeting in (b"220 ready\r\n", b"220 x ESMTP\r\n"):
        opening = Opening(ALL)
        opening.from_client(HELLO, tls=True)
        opening.from_server(greeting)
        assert opening.found == "smtp"
    opening = Opening(ALL)
    opening.from_client(HELLO + b"\r\nHELO x\r\nMAIL FROM:<a@b.example>\r\n", tls=True)
    assert (opening.found, opening.client_passable) == ("smtp", 0)


def test_after_the_server_spoke_http_is_found_only_where_it_is_refused() -> None:
    steps = [(S, b"hello\r\n"), (C, b"GET / HTTP/1.1\r\n")]
    assert hear(steps).over
    assert hear(steps, ("http",)).found == "http"


def test_nothing_is_held_beyond_a_bound() -> None:
    endless = hear([(C, b"GET " + b"a" * MAX_LINE)])
    assert endless.client_passable == MAX_LINE + 4
    assert hear([(C, b"a " * MAX_CLIENT), (C, b"\r\nEHLO")]).client_passable > 2 * MAX_CLIENT
    rambling = hear([(S, b"220-" + b"a" * MAX_GREETING)])
    assert rambling.server_passable == MAX_GREETING + 4
    assert hear([(S, b"push" * MAX_SERVER)]).over
    blank = Opening(ALL)
    for _ in range(600):
        blank.from_client(b" ")
    assert blank.client_passable == 600


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([C, S]), st.binary(max_size=40) | st.sampled_from(
    [b"220 ", b"EHLO", b"\r\n", b"SSH-", b":a 001 ", b"GET / ", b"HTTP/1.1\n", b" ", b"\x16\x03"])),
    max_size=12), st.sets(st.sampled_from([*ALL, "http"])))
def test_any_octets_give_an_answer(steps: Steps, refused: set[str]) -> None:
    opening = Opening(refused)
    sent = {C: 0, S: 0}
    for who, octets in steps:
        (opening.from_client if who == C else opening.from_server)(octets)
        sent[who] += len(octets)
        assert 0 <= opening.client_passable <= sent[C]
        assert 0 <= opening.server_passable <= sent[S]
    assert opening.found in {"", "http", *refused}


@pytest.mark.parametrize(("octets", "answer"), [
    (b"", None), (b"GET", None), (b"GET / HTTP/1.1\r\n", True), (b"\r\n\r\nget * HTTP/1.0\n", True),
    (b"GET /\r\n", False), (b"(x) / HTTP/1.1\r\n", False), (b"\x00", False), (b"PING\r\n", False),
])
def test_a_request_line(octets: bytes, answer: bool | None) -> None:
    assert request_line(octets) is answer


def case(*grants: Grant) -> Case:
    refused = {"smtp": "P-spam", "ssh": "P-probe"}
    policy = replace(POLICY, protocol=replace(POLICY.protocol, refused_in_tunnels=refused),
                     grants=grants)
    return Case(tunnel("mail.site.example"), policy, NOW, ACCOUNT)


def test_the_refusal_names_rule_and_clause() -> None:
    verdict = refusal(case(), "smtp")
    assert verdict is not None and verdict.kind is not None
    assert (verdict.control, verdict.rule, verdict.clause) == ("protocol", "tunnel/smtp", "P-spam")
    assert refusal(case(), "irc") is None


def test_a_dated_exception_lifts_one_protocol() -> None:
    """S-mail: mail is refused unless the account has an approved, dated exception."""
    lifted = case(grant("tunnel/smtp", accounts=(ACCOUNT.id,), host="site.example"))
    assert refusal(lifted, "smtp") is None
    assert lifted.lifted == ("exception",)
    assert refusal(lifted, "ssh") is not None
    for other in (grant("tunnel/smtp", until=NOW), grant("tunnel/smtp", accounts=("else",)),
                  grant("tunnel/smtp", host="other.example"), grant("port/25")):
        assert refusal(case(other), "smtp") is not None
