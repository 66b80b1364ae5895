"""For which uses a site gives its pages: Content-Signal, and the IETF's Content-Usage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core import robots_usage
from outbounds.core.robots import Robots
from outbounds.core.robots_terms import PURPOSES, Preference
from outbounds.core.robots_usage import header_preferences


def said(body: str, path: str = "/", agent: str = "FooBot") -> dict[str, tuple[bool, int]]:
    return {each.purpose: (each.allowed, each.line)
            for each in Robots.parse(body.encode()).preferences(path, agent)}


def everyone(*lines: str) -> str:
    return "\n".join(("user-agent: *", *lines, ""))


NOTHING: dict[str, bool] = {}
SIGNALS = [
    ("search=yes, ai-train=no", {"search": True, "ai-train": False}),
    ("search=yes,ai-input=no,ai-train=no",
     {"search": True, "ai-input": False, "ai-train": False}),
    ("SEARCH = Yes ,\tAI-Train= NO", {"search": True, "ai-train": False}),
    ("search=y, ai-train=n", NOTHING), ("search", NOTHING), ("search=", NOTHING), ("", NOTHING),
    ("train-ai=no", NOTHING), ("=no", NOTHING), ("search=no no", NOTHING),
    ("other=no, search=no", {"search": False}),
    ("search=no, search=yes", {"search": False}), ("search=yes, search=no", {"search": False}),
    ("search=yes,,", {"search": True}),
]
# draft-ietf-aipref-vocab; what is no dictionary of RFC 9651 section 3.2 says nothing
USAGES = [
    ("train-ai=n", {"ai-train": False}), ("train-ai=y", {"ai-train": True}),
    ("train-ai=y, search=n", {"ai-train": True, "search": False}),
    ("ai-use=n", {"ai-input": False}),
    ("train-ai=n;why=\"a, b\";x, search=y", {"ai-train": False, "search": True}),
    ("train-ai;allow=n, train-ai=y", {"ai-train": True}),  # the last of equal keys counts
    ("train-ai=y, train-ai, search=n, search=\"n\"", NOTHING),  # the draft's own example
    ("train-ai;has;parameters=\"?\";", NOTHING), ("train-ai=?0", NOTHING), ("train-ai", NOTHING),
    ("a=1, b=-2.5, c=\"x\\\"\", d=:YQ==:, e=?1, f=@7, g=(1 \"b\";q ), h=%\"%c3\", search=n",
     {"search": False}),
    ("a=(), search=n", {"search": False}), ("a=( ), search=n", {"search": False}),
    ("other=n", NOTHING), ("train-ai=no", NOTHING), ("train-ai=N", NOTHING), ("", NOTHING),
    ("Train-AI=n", NOTHING), ("train-ai =n", NOTHING), ("train-ai=n,", NOTHING),
    ("train-ai=n,,search=n", NOTHING), ("train-ai=n search=n", NOTHING), (",train-ai=n", NOTHING),
    ("train-ai=n, x=1.", NOTHING), ("train-ai=n, x=\"", NOTHING), ("train-ai=n, é=1", NOTHING),
    ("train-ai=n, x=1234567890123456", NOTHING), ("train-ai=n, x=(1", NOTHING),
    ("train-ai=n , search=n", {"ai-train": False, "search": False}),
]


@pytest.mark.parametrize(("value", "expected"), SIGNALS)
def test_content_signal(value: str, expected: dict[str, bool]) -> None:
    assert said(everyone(f"Content-Signal: {value}")) \
        == {purpose: (allowed, 2) for purpose, allowed in expected.items()}


@pytest.mark.parametrize(("value", "expected"), USAGES)
def test_content_usage(value: str, expected: dict[str, bool]) -> None:
    as_line = {purpose: (allowed, 2) for purpose, allowed in expected.items()}
    assert said(everyone(f"Content-Usage: {value}")) == as_line
    assert said(everyone(f"Content-Usage: / {value}")) == as_line
    assert {each.purpose: each.allowed for each in header_preferences(value)} == expected


def test_the_example_of_the_draft() -> None:
    body = ("User-Agent: *\nAllow: /\nDisallow: /never/\nContent-Usage: / train-ai=n\n"
            "Content-Usage: /ai-ok/ train-ai=y\n\nUser-Agent: ExampleBot\nAllow: /\n"
            "Content-Usage: / train-ai=y\n")
    assert said(body, "/test", "x") == {"ai-train": (False, 4)}
    assert said(body, "/ai-ok/test", "x") == {"ai-train": (True, 5)}
    assert said(body, "/test", "ExampleBot/1.0") == {"ai-train": (True, 9)}


PATHS = [  # (why, lines, path, what is said)
    ("the most specific path wins", ["content-usage: /a train-ai=n", "content-usage: /a/b "
     "train-ai=y"], "/a/b/c", {"ai-train": (True, 3)}),
    ("in whatever order", ["content-usage: /a/b train-ai=y", "content-usage: /a train-ai=n"],
     "/a/b/c", {"ai-train": (True, 2)}),
    ("each use by itself", ["content-usage: / train-ai=n", "content-usage: /a search=y"], "/a",
     {"search": (True, 3), "ai-train": (False, 2)}),
    ("of equal paths no wins", ["content-usage: /a train-ai=y", "content-usage: /a train-ai=n"],
     "/a", {"ai-train": (False, 3)}),
    ("and of two that say so the first is named", ["content-usage: /a train-ai=n",
     "content-usage: /a train-ai=n"], "/a", {"ai-train": (False, 2)}),
    ("a path that does not fit says nothing", ["content-usage: /a train-ai=n"], "/b", {}),
    ("wildcards are those of rules", ["content-usage: /*.pdf$ train-ai=n"], "/x.pdf",
     {"ai-train": (False, 2)}),
    ("and so is the spelling", ["content-usage: /%7ea train-ai=n"], "/~a",
     {"ai-train": (False, 2)}),
    ("a signal may have a path, too", ["content-signal: /a search=no"], "/a/x",
     {"search": (False, 2)}),
    ("where both kinds speak no wins, even of the less specific", ["content-signal: search=no",
     "content-usage: /a search=y"], "/a", {"search": (False, 2)}),
    ("whichever it is", ["content-signal: search=yes", "content-usage: /a search=n"], "/a",
     {"search": (False, 3)}),
    ("and yes where both say it", ["content-signal: search=yes", "content-usage: search=y"], "/",
     {"search": (True, 2)}),
    ("a path alone says nothing", ["content-usage: /a", "content-signal: /a"], "/a", {}),
    ("a comment is no value", ["content-signal: search=no # , ai-train=no"], "/",
     {"search": (False, 2)}),
]


@pytest.mark.parametrize(("why", "lines", "path", "expected"), PATHS)
def test_paths(
    why: str, lines: list[str], path: str, expected: dict[str, tuple[bool, int]]
) -> None:
    assert said(everyone(*lines), path) == expected, why


def test_they_bind_the_names_above_them_in_their_group() -> None:
    body = ("content-signal: search=no\nuser-agent: a\ncontent-signal: ai-train=no\nuser-agent: b\n"
            "content-signal: ai-input=no\ndisallow: /x\ncontent-signal: search=yes\n"
            "user-agent: c\nuser-agent: a\ncontent-signal: search=no\n")
    assert said(body, agent="a") == {"search": (False, 10), "ai-input": (False, 5),
                                     "ai-train": (False, 3)}
    assert said(body, agent="b") == {"ai-input": (False, 5), "search": (True, 7)}
    assert said(body, agent="c") == {"search": (False, 10)}
    assert said(body, agent="d") == {}
    assert not Robots.parse(body.encode()).allowed("/x", "a").allowed, "they part nothing"


def test_more_than_is_read_is_a_no_to_everything() -> None:
    lines = [f"content-usage: /{n} search=y" for n in range(robots_usage.LIMIT + 1)]
    assert said(everyone(*lines[:-1]), "/1") == {"search": (True, 3)}
    over = dict.fromkeys(PURPOSES, (False, robots_usage.LIMIT + 2))
    assert said(everyone(*lines), "/1") == over
    assert said(everyone(*lines), "/nothing/said") == over


def test_what_is_too_costly_to_tell_is_a_no() -> None:
    lines = [f"content-usage: /*{'a' * 90}{n} search=y" for n in range(900)]
    assert said(everyone(*lines), "/" + "a" * 8000) == {"search": (False, 0)}
    both = everyone(*lines, "content-signal: search=yes")
    assert said(both, "/" + "a" * 8000) == {"search": (False, 0)}


@given(st.one_of(st.text(), st.text('train-ai=yn,;"() ?1%:@\\search')))
def test_any_value_of_the_field_is_read(value: str) -> None:
    found = header_preferences(value)
    assert len({each.purpose for each in found}) == len(found)
    assert all(isinstance(each, Preference) and each.purpose in PURPOSES and not each.line
               for each in found)
