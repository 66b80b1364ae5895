"""What a robots.txt says beside its path rules: octets, limits, agents, delays, whole sites."""

from __future__ import annotations

import pytest

from outbounds.core.robots import Match, Robots, product_tokens
from outbounds.core.robots_parse import whole_lines


def allowed(body: bytes, agent: str, url: str) -> bool:
    return Robots.parse(body).allowed(url, agent).allowed


AGENTS = [  # User-Agent, the group of these that binds it ("" for "*")
    ("FooBot", "foobot"), ("foobot/1.2", "foobot"), ("FOOBOT 1.2", "foobot"),
    ("Mozilla/5.0 (compatible; FooBot/1.2; +https://foo.example/bot)", "foobot"),
    ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; FooBot/2.1; "
     "+http://www.foo.example/bot.html) Chrome/99.0 Safari/537.36", "foobot"),
    ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0", "mozilla"),
    ("FooBot-Image/1.0 FooBot/1.0", "foobot-image"),  # the longest is the most specific
    ("FooBot/1.0 FooBot-Image/1.0", "foobot-image"),
    ("BarBot FooBot", "barbot"),                      # as long: the first
    ("FooBotter/1.0", ""), ("NotFooBot", ""), ("FooBot2/1.0", ""),
    ("x (+https://barbot.example/FooBot)", ""), ("x (FooBot@foo.example)", ""), ("", ""),
    ("MJ12bot/v1.4.8", "mj12bot"), ("ツ FooBot", "foobot"),
]


@pytest.mark.parametrize(("agent", "name"), AGENTS)
def test_which_group_binds_an_agent(agent: str, name: str) -> None:
    names = ["*", "foobot", "barbot", "foobot-image", "mozilla", "mj12bot"]
    body = "".join(f"user-agent: {each}\ndisallow: /\nallow: /{i}$\n" for i, each in
                   enumerate(names))
    robots = Robots.parse(body.encode())
    open_to = [names[i] for i in range(len(names)) if robots.allowed(f"/{i}", agent).allowed]
    assert open_to == [name or "*"]


def test_browser_words_come_last() -> None:
    assert product_tokens("Mozilla/5.0 (compatible; Foo/1; +http://x.y)")[0] == "foo"


def test_line_numbers() -> None:
    robots = Robots.parse(b"\xef\xbb\xbf# c\r\nuser-agent: *\rdisallow: /a\n\nallow: /a/b\n")
    assert robots.allowed("/a", "x") == Match(False, 3)
    assert robots.allowed("/a/b", "x") == Match(True, 5)
    assert robots.allowed("/b", "x") == Match(True, 0)


RAW = [  # (why, body): all of them disallow everything
    ("byte order mark", b"\xef\xbb\xbfuser-agent: *\ndisallow: /"),
    ("two thirds of one", b"\xef\xbbuser-agent: *\ndisallow: /"),
    ("one third", b"\xefuser-agent: *\ndisallow: /"),
    ("UTF-16 of a Windows editor", "user-agent: *\r\ndisallow: /".encode("utf-16")),
    ("UTF-16, big endian", b"\xfe\xff" + "user-agent: *\ndisallow: /".encode("utf-16-be")),
    ("octets that are no UTF-8", b"\x80\xff\n\x00user-agent: x\n\xc3user-agent: y\n"
     b"user-agent: *\ndisallow: /"),
]


@pytest.mark.parametrize(("why", "body"), RAW)
def test_octets(why: str, body: bytes) -> None:
    assert not allowed(body, "x", "/"), why


def test_a_mark_elsewhere_is_no_mark() -> None:
    assert allowed(b"user-agent: *\n\xef\xbb\xbfdisallow: /", "x", "/")
    assert allowed(b"\xef\x11\xbfuser-agent: *\ndisallow: /", "x", "/")


def test_octets_of_another_encoding_match_as_octets() -> None:
    assert not allowed(b"user-agent: *\ndisallow: /caf\xe9", "x", "/caf%E9")


def test_no_space_is_stripped_that_is_none() -> None:
    assert allowed(b"user-agent: *\ndisallow: /a\xa0", "x", "/a")


def test_limit_cuts_to_whole_lines() -> None:
    """Section 2.5: at least 500 KiB; the line on the edge would be half a rule."""
    head = b"user-agent: *\ndisallow: /first\n"
    fill = b"#" * (500 * 1024 - len(head) - len(b"\nallow: /fi")) + b"\n"
    robots = Robots.parse(head + fill + b"allow: /first/open\ndisallow: /\n")
    assert robots.allowed("/first", "x") == Match(False, 2)
    assert robots.allowed("/other", "x").allowed
    fits = b"disallow: /last"
    fill = b"#" * (500 * 1024 - len(head) - len(fits) - 1) + b"\n"
    assert not Robots.parse(head + fill + fits + b"\nallow: /").allowed("/last", "x").allowed
    assert not Robots.parse(head + fill + fits + b"\rallow: /").allowed("/last", "x").allowed
    assert Robots.parse(head + fill + fits + b"er\n").allowed("/last", "x").allowed
    for body in (head + fill + fits + b"\nallow: /", head + fill + fits + b"er\n", b"#" * 999_999):
        assert len(whole_lines(body)) <= 500 * 1024
        assert whole_lines(whole_lines(body)) == whole_lines(body)


SITES = [  # (rules, line that closes the whole site or 0)
    (["disallow: /"], 2), (["disallow: /*"], 2), (["disallow: *"], 2), (["disallow: */"], 2),
    (["disallow: /*$"], 2), (["disallow: **"], 2), (["disallow: /a", "disallow: /"], 3),
    (["disallow: /", "allow:"], 2), (["disallow: /%"], 0),
    (["disallow: /$"], 0), (["disallow: $"], 0), (["disallow: /?"], 0), (["disallow: "], 0),
    (["disallow: /*/"], 0), (["disallow: */$"], 0), ([], 0),
    (["disallow: /x", "disallow: *"], 3), (["disallow: *", "disallow: /*"], 3),
    (["disallow: /", "allow: /x"], 0), (["disallow: /", "allow: /$"], 0),
]


@pytest.mark.parametrize(("rules", "line"), SITES)
def test_whole_site(rules: list[str], line: int) -> None:
    robots = Robots.parse("\n".join(["user-agent: *", *rules]).encode())
    assert robots.whole_site("x") == Match(not line, line)


def test_whole_site_binds_the_agents_own_group() -> None:
    robots = Robots.parse(b"user-agent: *\ndisallow: /\nuser-agent: foo\ndisallow: /x\n")
    assert not robots.whole_site("bar").allowed
    assert robots.whole_site("foo/1.0").allowed


def test_named_counts_groups() -> None:
    assert Robots.parse(b"user-agent: a\nuser-agent: \xff\n").named == 1
    assert Robots.parse(b"<html>").named == 0
