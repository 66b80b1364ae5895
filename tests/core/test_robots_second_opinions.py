"""What protego, reppy and urllib.robotparser say of generated files, and why we differ.

Every difference must be of a class that is listed here with the section that settles it; each
class is narrow enough to be seen in the file or the path, and has an example that shows it.
"""

from __future__ import annotations

import importlib.util
import urllib.robotparser
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from protego import Protego

from outbounds.core.robots import Robots
from outbounds.core.robots_match import Group, Rule
from outbounds.core.robots_spelling import octets, origin_form, spell

SITE = "http://foo.bar"
type Line = tuple[bool, str]  # allow, pattern


@dataclass(frozen=True)
class Case:
    groups: tuple[tuple[tuple[str, ...], tuple[Line, ...]], ...]
    path: str
    agent: str

    @property
    def body(self) -> str:
        return "\n\n".join("\n".join([
            *(f"User-agent: {name}" for name in names),
            *(f"{'Allow' if allow else 'Disallow'}: {pattern}" for allow, pattern in rules),
        ]) for names, rules in self.groups) + "\n"

    @property
    def ours(self) -> bool:
        return Robots.parse(self.body.encode()).allowed(self.path, self.agent).allowed

    @property
    def names(self) -> list[str]:
        return [name for names, _ in self.groups for name in names]

    @property
    def bound(self) -> list[Line]:
        """The rules that bind the agent. Names without rules below them join the next group's:
        an empty line parts nothing (section 2.2)."""
        name = self.agent if self.agent in self.names else "*"
        bound: list[Line] = []
        above: list[str] = []
        for names, rules in self.groups:
            above += names
            if rules:
                bound += rules if name in above else ()
                above = []
        return bound

    @property
    def fitting(self) -> list[Line]:
        """Those of them that match the path."""
        return [(allow, pattern) for allow, pattern in self.bound if pattern and
                Group([Rule.of(allow, octets(pattern), 1)]).judge(origin_form(self.path)).line]


@dataclass(frozen=True)
class Difference:
    """`why` we decide otherwise than the reader, by which `section` of RFC 9309 unless another is
    named; where it can be (`seen`), and an `example`: rules for "*" or a file, and a path."""

    why: str
    section: str
    seen: Callable[[Case], bool]
    example: str
    path: str
    ours: bool
    agent: str = "other"


def _protego(body: str, url: str, agent: str) -> bool:
    return bool(Protego.parse(body).can_fetch(url, agent))


def _standard(body: str, url: str, agent: str) -> bool:
    parser = urllib.robotparser.RobotFileParser()
    parser.parse(body.splitlines())
    parser.modified()
    return parser.can_fetch(agent, url)


def _reppy(body: str, url: str, agent: str) -> bool:
    from reppy.robots import Robots as Reppy  # type: ignore[import-untyped,unused-ignore]
    return bool(Reppy.parse(SITE + "/robots.txt", body).allowed(url, agent))


def _dots(case: Case) -> bool:
    return not {".", ".."}.isdisjoint(case.path.partition("?")[0].split("/"))


def _both(case: Case) -> bool:
    """Whether there is something to weigh: an allow and a disallow that match."""
    return len({allow for allow, _ in case.fitting}) == 2


DOTS = ("dot segments are no other path", "RFC 3986 section 6.2.2.3", _dots)
LAST_STAR = ("a '*' at the end is an octet of the pattern, as google/robotstxt has it", "2.2.2",
             lambda case: _both(case) and any(
                 pattern.rstrip("$").endswith("*") for _, pattern in case.fitting))
MERGED = ("all groups of a token are one", "2.2.1",
          lambda case: len(set(case.names)) < len(case.names))
EMPTY = ("an empty rule is none", "2.2.2",
         lambda case: any(not pattern for _, pattern in case.bound))
ENCODED = ("an encoded octet counts as what it is compared as", "2.2.2",
           lambda case: _both(case) and any(spell(octets(pattern)) != pattern or "?" in pattern
                                            for _, pattern in case.fitting))
SPECIAL = ("'*' and '$' are special", "2.2.3",
           lambda case: any("*" in pattern or pattern.endswith("$") for _, pattern in case.bound))
SLASHES = ("two slashes begin a path as well as one, and no authority", "2.2.2",
           lambda case: any(pattern.startswith(("//", "/%2F")) for _, pattern in case.bound)
           or case.path.startswith("/%2F"))
SLASH = ("an encoded slash is not the slash that delimits", "RFC 3986 section 2.2",
         lambda case: any("%2F" in pattern for _, pattern in case.bound) or "%2F" in case.path)
QUESTION = ("a '?' with nothing behind it is part of the pattern", "2.2.2",
            lambda case: any(pattern.rstrip("$*").endswith("?") for _, pattern in case.bound)
            or case.path.endswith("?"))
SHARED = ("rules bind '*' when it is one of several names above them", "2.2",
          lambda case: any("*" in names and len(names) > 1 for names, _ in case.groups))
DOLLAR = ("'$' is special at the end alone, and '*$' ends anywhere", "2.2.3",
          lambda case: any("$" in pattern[:-1] or pattern.endswith("*$")
                           for _, pattern in case.bound))
EQUAL = ("of equal patterns allow counts, whichever comes first", "2.2.2", lambda case: bool(
    {pattern for allow, pattern in case.fitting if allow}
    & {pattern for allow, pattern in case.fitting if not allow}))
NAMELESS = ("an empty line parts no names, and a group without rules binds its agent", "2.2",
            lambda case: any(not rules for _, rules in case.groups))

DIFFERENCES: dict[str, tuple[Callable[[str, str, str], bool], list[Difference]]] = {
    "protego": (_protego, [
        Difference(*DOTS, "disallow: /c", "/./c", False),
        Difference(*LAST_STAR, "allow: /*\ndisallow: /?", "/?x", True),
        Difference(*ENCODED, "allow: /*?\ndisallow: /??", "/??", True),
        Difference("index.html is no directory to the RFC", "2.2.2",
                   lambda case: any(allow and "/index.htm" in pattern
                                    for allow, pattern in case.bound),
                   "disallow: /\nallow: /index.html", "/", False),
    ]),
    "reppy": (_reppy, [
        Difference(*MERGED, "user-agent: foobot\ndisallow: /\n\nuser-agent: foobot\n"
                   "user-agent: barbot\nallow: /$\n", "/x", True, "barbot"),
        Difference(*NAMELESS, "user-agent: barbot\n\nuser-agent: *\ndisallow: /\n", "/", False),
        Difference(*SHARED, "user-agent: barbot\nuser-agent: *\ndisallow: /\n", "/", False),
        Difference(*EQUAL, "disallow: /\nallow: /", "/x", True),
        Difference(*DOLLAR, "disallow: /$$", "/", True),
        Difference(*SLASHES, "disallow: //", "/", True),
        Difference(*SLASH, "disallow: /*%2F", "/a/b", True),
        Difference(*DOTS, "disallow: /$", "/.", False),
        Difference(*LAST_STAR, "allow: /\ndisallow: /*", "/", False),
    ]),
    "urllib.robotparser": (_standard, [
        Difference(*MERGED, "user-agent: *\ndisallow: /x\n\nuser-agent: *\ndisallow: /\n", "/",
                   False),
        Difference(*NAMELESS, "user-agent: *\ndisallow: /\n\nuser-agent: foobot\n", "/", True,
                   "foobot"),
        Difference(*EMPTY, "allow:\ndisallow: /", "/", False),
        Difference(*SPECIAL, "disallow: /$", "/", False),
        Difference(*SLASHES, "disallow: //", "/", True),
        Difference(*QUESTION, "disallow: /?", "/x", True),
        Difference(*SLASH, "disallow: /a%2Fb", "/a/b", True),
        Difference("the longest match decides, not the first", "2.2.2", _both,
                   "disallow: /\nallow: /x", "/x", True),
        Difference(*DOTS, "disallow: /c", "/./c", False),
    ]),
}

PIECES = ("a", "b", "/", "a/b", "*", "?", "=", "%7E", "~", "é", "x.y", ",", "%2C", "%2F", "$")
PATTERNS = st.builds(
    lambda pieces, end: "/" + "".join(pieces) + end,
    st.lists(st.sampled_from((*PIECES, "index.html")), max_size=4),
    st.sampled_from(["", "", "$", "*"]))
RULES = st.lists(st.tuples(st.booleans(), st.one_of(PATTERNS, PATTERNS, PATTERNS, st.just(""))),
                 max_size=4).map(tuple)
NAMES = st.lists(st.sampled_from(["*", "foobot", "barbot"]), min_size=1, max_size=2, unique=True)
PATHS = st.lists(
    st.sampled_from((*(p for p in PIECES if p not in "*$"), "c", "-", "..", ".", "index.html")),
    max_size=5).map(lambda pieces: "/" + "".join(pieces))
CASES = st.builds(Case, st.lists(st.tuples(NAMES.map(tuple), RULES), max_size=3).map(tuple), PATHS,
                  st.sampled_from(["foobot", "barbot", "other"]))


def _installed(reader: str) -> None:
    if reader == "reppy" and importlib.util.find_spec("reppy") is None:
        pytest.skip("reppy is an extra")


@pytest.mark.parametrize("reader", DIFFERENCES)
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(CASES)
def test_every_difference_is_of_a_known_class(reader: str, case: Case) -> None:
    _installed(reader)
    assume(not case.path.startswith("//"))  # `SLASHES`, of the path
    if reader == "reppy":  # three in one rule may keep it busy for ever
        assume(all(pattern.count("*") < 3 for _, rules in case.groups for _, pattern in rules))
    read, differences = DIFFERENCES[reader]
    if read(case.body, SITE + case.path, case.agent) is not case.ours:
        assert any(each.seen(case) for each in differences), case.body


EXAMPLES = [(reader, each) for reader, (_, known) in DIFFERENCES.items() for each in known]


@pytest.mark.parametrize(("reader", "each"), EXAMPLES,
                         ids=[f"{reader}: {each.why}" for reader, each in EXAMPLES])
def test_every_class_is_still_a_difference(reader: str, each: Difference) -> None:
    _installed(reader)
    body = each.example if "user-agent" in each.example else f"user-agent: *\n{each.example}\n"
    read, _ = DIFFERENCES[reader]
    assert Robots.parse(body.encode()).allowed(each.path, each.agent).allowed is each.ours
    assert read(body, SITE + each.path, each.agent) is not each.ours, f"settled by {each.section}"
