"""What must hold for every file and every path, and a second opinion on ordinary ones."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from outbounds.core.robots import Match, Robots
from outbounds.core.robots_match import MOST_WILDCARDS, Group, Rule
from outbounds.core.robots_spelling import origin_form, size_at_most, spell

LINES = st.lists(st.one_of(
    st.sampled_from([b"user-agent: *", b"User-agent: foobot", b"disallow: /", b"disallow:",
                     b"allow: /*a$", b"crawl-delay: 1", b"sitemap: x", b"", b"disallow /a b",
                     b":"]),
    st.builds(lambda key, value: key + value,
              st.sampled_from([b"allow: ", b"disallow:/", b"user-agent:", b"crawl-delay: "]),
              st.text("ab/*$?%2F#é ", max_size=12).map(str.encode)),
    st.binary(max_size=20),
), max_size=12)
FILES = LINES.map(b"\n".join)
PATHS = st.text("ab/.?%2F$*#é:@", max_size=16).map("/".__add__)
URLS = st.one_of(PATHS, st.text(max_size=20))
AGENTS = st.one_of(st.sampled_from(["FooBot/1.0", "Mozilla/5.0 (x; foobot)", "", "*"]),
                   st.text(max_size=20))


@given(st.one_of(st.binary(), FILES), URLS, AGENTS)
def test_any_octets_are_a_file(body: bytes, url: str, agent: str) -> None:
    robots = Robots.parse(body)
    assert isinstance(robots.allowed(url, agent), Match)
    assert 0 <= robots.allowed(url, agent).line <= body.count(b"\n") + body.count(b"\r") + 1
    assert isinstance(robots.whole_site(agent), Match)
    delay = robots.terms(agent).crawl_delay
    assert delay is None or 0 <= delay < 1e9


@given(LINES, st.integers(0, 12), st.binary(max_size=20), URLS, AGENTS)
def test_a_comment_changes_nothing(
    lines: list[bytes], place: int, comment: bytes, url: str, agent: str
) -> None:
    comment = b"#" + comment.replace(b"\n", b"").replace(b"\r", b"")
    lines = [b"", *lines]  # so that the comment cannot stand where a byte order mark would
    lines = [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines]
    place = min(place + 1, len(lines))
    plain = Robots.parse(b"\n".join(lines))
    commented = Robots.parse(b"\n".join([*lines[:place], comment, *lines[place:]]))
    before, after = plain.allowed(url, agent), commented.allowed(url, agent)
    assert after.allowed == before.allowed
    assert after.line == before.line + (before.line > place)
    assert plain.terms(agent).crawl_delay == commented.terms(agent).crawl_delay


@given(FILES, URLS, AGENTS, AGENTS)
def test_deterministic(body: bytes, url: str, agent: str, other: str) -> None:
    robots = Robots.parse(body)
    first = robots.allowed(url, agent)
    robots.allowed(url, other)
    assert robots.allowed(url, agent) == first == Robots.parse(body).allowed(url, agent)


@given(FILES, PATHS, AGENTS)
def test_a_closed_site_has_no_open_path(body: bytes, path: str, agent: str) -> None:
    robots = Robots.parse(body)
    if not robots.whole_site(agent).allowed and "robots.txt" not in path:
        assert not robots.allowed(path, agent).allowed


@given(URLS)
def test_one_spelling_is_final(url: str) -> None:
    target = origin_form(url)
    assert target.startswith("/") and target.isascii()
    assert spell(target) == origin_form(target) == target


@given(st.text("ab*$/", min_size=1, max_size=10), st.text("ab/$", max_size=14).map("/".__add__))
@example("*ab*b$", "/ab")
@example("*a*a*$", "/aa")
def test_greedy_finds_what_backtracking_finds(pattern: str, path: str) -> None:
    """The oracle tries every placement; patterns this short do not hurt it."""
    body = pattern.removesuffix("$")
    oracle = ".*".join(map(re.escape, body.split("*")))
    expected = (re.fullmatch if body != pattern else re.match)(oracle, path)
    assert Group([Rule.of(False, pattern, 1)]).judge(path).allowed is (expected is None)


RULES = st.lists(st.tuples(st.booleans(), st.text("ab*$/", min_size=1, max_size=6)), max_size=8)


@given(RULES, st.text("ab/", max_size=6).map("/".__add__))
@example([(True, "/*"), (False, "/"), (False, "/aaa")], "/")
@example([(True, "/*"), (False, "/"), (False, "/$aa")], "/")
def test_of_all_rules_that_match_the_longest_decides(
        rules: list[tuple[bool, str]], path: str) -> None:
    """Section 2.2.2, against each rule by itself: most octets, at equal length the allow."""
    deciding: dict[tuple[int, bool], list[int]] = {}
    for line, (allow, pattern) in enumerate(rules, 1):
        if not Group([Rule.of(False, pattern, 1)]).judge(path).allowed:
            deciding.setdefault((len(pattern), allow), []).append(line)
    found = Group(Rule.of(allow, pattern, line)
                  for line, (allow, pattern) in enumerate(rules, 1)).judge(path)
    (_, allow), lines = max(deciding.items(), default=((0, True), [0]))
    assert found.allowed is allow and found.line in lines


class CountedPath(str):
    """Counts what the matcher reads of it."""

    __slots__ = ("finds", "scanned")

    def find(self, needle: str, start: int = 0) -> int:  # type: ignore[override]
        at = super().find(needle, start)
        self.finds = getattr(self, "finds", 0) + 1
        end = at + len(needle) if at >= 0 else len(self)
        self.scanned = getattr(self, "scanned", 0) + end - start
        return at


@given(st.lists(st.text("ab*$/", min_size=1, max_size=30), max_size=30),
       st.text("ab/", max_size=200).map("/".__add__))
@example(["/" + "*a" * 500 + "*b"] * 3, "/" + "a" * 2000)
@example([f"/*{'a*' * i}b" for i in range(40)], "/" + "a" * 2000)
def test_each_rule_reads_the_path_at_most_once(patterns: list[str], path: str) -> None:
    """Linear in rules times path, counted: the octets that searches pass over."""
    counted = CountedPath(path)
    Group(Rule.of(False, pattern, n) for n, pattern in enumerate(patterns, 1)).judge(counted)
    assert getattr(counted, "scanned", 0) <= len(set(patterns)) * len(path)
    assert getattr(counted, "finds", 0) <= sum(pattern.count("*") for pattern in patterns)


def test_beyond_the_bound_it_refuses_unread() -> None:
    wild = "\n".join(f"allow: /*{n:04}{'a' * 100}" for n in range(3000))
    robots = Robots.parse(f"user-agent: *\n{wild}\n".encode())
    assert robots.allowed("/" + "a" * 100, "x").allowed, "an ordinary path is judged"
    assert robots.allowed("/" + "a" * 8191, "x") == Match(False, 0)
    counted = CountedPath("/" + "a" * 8191)
    Group(Rule.of(True, f"/*{n:04}{'a' * 100}", n) for n in range(3000)).judge(counted)
    assert getattr(counted, "finds", 0) == 0


def test_a_group_of_too_many_wildcards_is_refused() -> None:
    rules = [Rule.of(True, f"/{n}*", n) for n in range(1, MOST_WILDCARDS + 2)]
    assert Group(rules[:-1]).judge("/x") == Group(rules[:-1]).whole_site == Match(True, 0)
    assert Group(rules).judge("/x") == Group(rules).whole_site == Match(False, 0)
    # the same pattern again and again is one
    assert Group([*rules[:-1], *rules[:9]]).judge("/17x").allowed


def test_the_bound_counts_only_rules_that_may_match() -> None:
    rules = [Rule.of(False, f"/{n:03}*abc", n) for n in range(100)]
    path = "/050xabc"
    steps = Group(rules).steps(path)
    assert steps == Group(rules[50:51]).steps(path) < Group(rules)._at_most(len(path))
    assert Group(rules, bound=steps).judge(path) == Match(False, 50)
    assert Group(rules, bound=steps - 1).judge(path) == Match(False, 0)


@given(st.lists(st.text("ab*$/?", min_size=1, max_size=30), max_size=8),
       st.text("ab/%2F?", max_size=3000).map("/".__add__))
def test_the_quick_estimate_is_never_under_the_exact_one(patterns: list[str], path: str) -> None:
    group = Group(Rule.of(False, pattern, n) for n, pattern in enumerate(patterns, 1))
    assert group.steps(path) <= group._at_most(len(path))


@given(URLS)
def test_the_size_of_a_spelling_is_never_underestimated(url: str) -> None:
    assert len(origin_form(url)) <= size_at_most(url)


def test_when_time_is_over_the_answer_is_a_refusal() -> None:
    robots = Robots.parse(b"user-agent: *\n" + b"".join(
        b"allow: /*%d*\n" % n for n in range(100)))
    assert robots.allowed("/x", "x", lambda: True) == Match(False, 0)
    looks = iter([*[False] * 10, True])
    assert robots.allowed("/x", "x", lambda: next(looks)) == Match(False, 0)
    assert robots.allowed("/x", "x", lambda: False).allowed


def test_many_names_for_many_rules_cost_their_sum() -> None:
    """20,000 names times 20,000 rules, each stored once."""
    names = "\n".join(f"user-agent: n{n}" for n in range(20_000))
    rules = "\n".join(f"disallow: /{n}" for n in range(20_000))
    file = Robots.parse(f"{names}\ncrawl-delay: 1\n{rules}\n".encode())._file
    assert len(file.rules) == 20_000
    assert len({id(rules) for bound in file.rules.values() for rules in bound}) == 1


def test_a_name_repeated_in_its_group_is_bound_once() -> None:
    file = Robots.parse(b"user-agent: a\n" * 20_000 + b"disallow: /\n")._file
    assert len(file.rules["a"]) == 1


def test_what_is_remembered_of_agents_is_bounded() -> None:
    file = "".join(f"user-agent: n{n}\ncontent-signal: search=no\ndisallow: /{n}$\n"
                   for n in range(1000))
    robots = Robots.parse(file.encode())
    for n in range(1000):
        assert not robots.allowed(f"/{n}", f"n{n}/1.0").allowed
        assert robots.allowed(f"/{n + 1}", f"n{n}/1.0").allowed
        robots.preferences("/", f"n{n}")
    assert len(robots._groups) <= 16
    assert len(robots._usages) <= 16


def test_what_is_arranged_for_many_names_is_bounded_by_the_file() -> None:
    """Each name has rules of its own beside those that it shares."""
    shared = "".join(f"user-agent: n{n}\n" for n in range(12))
    rules = "".join(f"disallow: /{n}\n" for n in range(500))
    own = "".join(f"user-agent: n{n}\ndisallow: /own{n}\n" for n in range(12))
    robots = Robots.parse((shared + rules + own).encode())
    for _ in range(3):
        for n in range(12):
            assert not robots.allowed(f"/own{n}", f"n{n}").allowed
            assert not robots.allowed("/499", f"n{n}").allowed
            assert robots.allowed(f"/own{n + 1}", f"n{n}").allowed
            kept = sum(len(group._prefixes) for group in robots._groups.values())
            assert kept <= 2 * robots._file.size


@given(st.lists(st.tuples(st.booleans(), st.text("ab*$/?%2F", min_size=1, max_size=8)),
                max_size=8),
       st.text("ab/?%2F", max_size=6).map("/".__add__))
@example([(False, "/"), (True, "/*"), (True, "/longer")], "/")
@example([(True, "/"), (False, "/*"), (True, "/longer")], "/")
def test_a_group_decides_as_its_rules_do_one_by_one(
    rules: list[tuple[bool, str]], path: str
) -> None:
    """Section 2.2.2: of the rules that match alone, the longest, allow on a tie."""
    each = [Rule.of(allow, pattern, line) for line, (allow, pattern) in enumerate(rules, 1)]
    target = origin_form(path)
    fitting = [rule for rule in each if Group([rule]).judge(target).line]
    best = max(fitting, key=lambda rule: rule.rank, default=None)
    found = Group(each).judge(target)
    assert found.allowed is (best is None or best.mark % 2 == 1)
    assert (found.line == 0) is (best is None)
    if best is not None and "%" not in path:
        assert found.line == best.mark // 2, "the first of its rank"
