"""What each kind of entry matches once it is compiled, and what a generation says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from outbounds.core.destination import parse_host
from outbounds.core.hit import Matcher, Terms
from outbounds.core.list_entry import Effect, Entry, Kind, Scope, parse_value
from outbounds.lists.compiled import (
    BadGeneration,
    CompileError,
    Generation,
    compile_lists,
    write_part,
)

LINES = [
    (Kind.DOMAIN, "denied.example"),             # 1
    (Kind.HOST, "www.exact.example"),            # 2
    (Kind.BELOW, "below.example"),               # 3
    (Kind.NETWORK, "198.51.100.0/24"),           # 4
    (Kind.NETWORK, "198.51.100.7"),              # 5
    (Kind.NETWORK, "2001:db8:1::/48"),           # 6
    (Kind.NETWORK, "2001:db8:1::5"),             # 7
    (Kind.PORT, "25"),                           # 8
    (Kind.SCHEME, "http"),                       # 9
    (Kind.URL, "https://u.example/private"),     # 10
    (Kind.URL, "u.example:8443/private/x"),      # 11
    (Kind.PATTERN, r"^https://[^/]*/wp-login[.]php$"),  # 12
    (Kind.PATTERN, r"(?i)/TRACK/[0-9]+"),        # 13
    (Kind.PATTERN, r"^https://p[.]example:8443/a.b"),  # 14
    (Kind.PATTERN, r"^https://\[2606:4700::1\]/$"),    # 15
    (Kind.HOST, "com"),                          # 16
]

MATCHES = [
    # (host, port, scheme, path) -> the lines that match
    ("denied.example", 443, "https", "/", {1}),
    ("DENIED.example.", 443, "https", "/", {1}),
    ("a.b.denied.example", 443, "https", "", {1}),
    ("xdenied.example", 443, "https", "/", set()),
    ("denied.example.org", 443, "https", "/", set()),
    ("example", 443, "https", "/", set()),
    ("www.exact.example", 443, "https", "/", {2}),
    ("a.www.exact.example", 443, "https", "/", set()),
    ("exact.example", 443, "https", "/", set()),
    ("below.example", 443, "https", "/", set()),
    ("a.below.example", 443, "https", "/", {3}),
    ("com", 443, "https", "/", {16}),
    ("denied.com", 443, "https", "/", set()),
    ("198.51.100.7", 443, "https", "/", {4, 5}),
    ("198.51.100.8", 443, "https", "/", {4}),
    ("198.51.100.255", 443, "https", "/", {4}),
    ("198.51.101.0", 443, "https", "/", set()),
    ("198.51.99.255", 443, "https", "/", set()),
    ("[::ffff:198.51.100.7]", 443, "https", "/", {4, 5}),
    ("[2002:c633:6407::1]", 443, "https", "/", {4, 5}),
    ("[2001:db8:1::5]", 443, "https", "/", {6, 7}),
    ("[2001:db8:1::6]", 443, "https", "/", {6}),
    ("[2001:db8:1::4]", 443, "https", "/", {6}),
    ("[2001:db8:2::5]", 443, "https", "/", set()),
    ("any.example", 25, "https", "/", {8}),
    ("any.example", 80, "http", "/", {9}),
    ("any.example", 80, "", "", set()),
    ("u.example", 443, "https", "/private", {10}),
    ("u.example", 443, "https", "/%70rivate/x", {10}),
    ("u.example", 8443, "https", "/private/x", {10, 11}),
    ("u.example", 443, "https", "/", set()),
    ("u.example", 443, "https", "", set()),
    ("a.u.example", 443, "https", "/private", set()),
    ("u.example.org", 443, "https", "/private", set()),
    # patterns see the canonical URL
    ("any.example", 443, "https", "/wp-login.php", {12}),
    ("any.example", 443, "https", "/x/..//wp%2Dlogin.php", {12}),
    ("any.example", 443, "https", "/wp-login.php?x", set()),
    ("any.example", 443, "https", "/a/track/77", {13}),
    ("any.example", 443, "https", "/a/track/x", set()),
    ("any.example", 443, "https", "", set()),
    ("P.example", 8443, "https", "/axb", {14}),
    ("p.example", 8443, "https", "/a%0Ab", {14}),  # a dot is any octet, line ends too
    ("p.example", 443, "https", "/axb", set()),
    ("[2606:4700:0::1]", 443, "https", "/", {15}),
]


def entries(lines: list[tuple[Kind, str]]) -> list[Entry]:
    return [Entry(kind, parse_value(kind, text), number)
            for number, (kind, text) in enumerate(lines, 1)]


def compiled(folder: Path, **lists: list[Entry]) -> Path:
    parts = {}
    for list_id, its in lists.items():
        parts[list_id] = folder / f"{list_id}.part"
        write_part(parts[list_id], its)
    return compile_lists(parts, folder / "generations")


@pytest.fixture(scope="module")
def generation(tmp_path_factory: pytest.TempPathFactory) -> Generation:
    folder = compiled(tmp_path_factory.mktemp("lists"), t=entries(LINES))
    return Generation.open(folder, {"t": Terms("t", "P-content")})


@pytest.mark.parametrize(("host", "port", "scheme", "path", "expected"), MATCHES)
def test_match(generation: Generation, host: str, port: int, scheme: str, path: str,
               expected: set[int]) -> None:
    hits = generation.match(parse_host(host), port, scheme, path)
    assert sorted(hit.line for hit in hits) == sorted(expected)


UNREADABLE = "/%" + "25" * 9 + "70"


def test_a_path_encoded_beyond_reading_meets_what_denies_by_path(tmp_path: Path) -> None:
    lines = [*entries(LINES), Entry(Kind.URL, parse_value(Kind.URL, "u.example/ok"), 20,
                                    Effect.ALLOW_ALWAYS)]
    found = Generation.open(compiled(tmp_path, t=lines), {"t": Terms("t")})

    def asked(host: str, port: int) -> list[int]:
        hits = found.match(parse_host(host), port, "https", UNREADABLE)
        return sorted(hit.line for hit in hits)

    # one stands for all that differ in their value only; the patterns have no host
    assert asked("u.example", 443) == [10, 12]
    assert asked("u.example", 8443) == [10, 11, 12]
    assert asked("other.example", 443) == [12]


def test_it_is_a_matcher(generation: Generation) -> None:
    assert isinstance(generation, Matcher)
    assert generation.size == len(LINES)
    assert generation.lists == {"t": len(LINES)}


def test_an_entry_that_is_repeated_counts_once_at_its_first_line(tmp_path: Path) -> None:
    repeated = entries(LINES) + [each._replace(line=each.line + 100) for each in entries(LINES)]
    found = Generation.open(compiled(tmp_path, t=repeated), {"t": Terms("t")})
    assert found.lists == {"t": len(LINES)}
    for host, port, scheme, path, expected in MATCHES:
        hits = found.match(parse_host(host), port, scheme, path)
        assert sorted(hit.line for hit in hits) == sorted(expected)


def test_a_name_that_many_lists_hold(tmp_path: Path) -> None:
    lists = {f"list{number}": entries([(Kind.HOST, f"h{number}.example"),
                                       (Kind.DOMAIN, "x.example"), (Kind.BELOW, "x.example")])
             for number in range(20)}
    found = Generation.open(compiled(tmp_path, **lists), {name: Terms(name) for name in lists})
    rules = [hit.rule for hit in found.match(parse_host("x.example"), 443, "https", "/")]
    assert sorted(rules) == sorted(f"{name}:2" for name in lists)
    assert len(found.match(parse_host("a.x.example"), 443, "https", "/")) == 40
    assert found.lists == dict.fromkeys(sorted(lists), 3)


def test_what_a_hit_carries(tmp_path: Path) -> None:
    scope = Scope(plans=frozenset({"b", "a"}), until=99.5)
    folder = compiled(tmp_path, t=[Entry(Kind.HOST, "x.example", 7, Effect.ALLOW_ALWAYS, ("ads",),
                                         scope)])
    terms = Terms("t", "P-content", labels=("eu",))
    (hit,) = Generation.open(folder, {"t": terms}).match(parse_host("x.example"), 80, "http", "/")
    assert hit.terms is terms
    assert (hit.line, hit.effect, hit.labels, hit.scope) == (
        7, Effect.ALLOW_ALWAYS, ("eu", "ads"), scope)


def test_a_list_without_terms_is_not_in_force(tmp_path: Path) -> None:
    folder = compiled(tmp_path, t=entries(LINES), other=entries([(Kind.HOST, "denied.example")]))
    found = Generation.open(folder, {"other": Terms("other")})
    for host, port, scheme, path, _ in MATCHES:
        hits = found.match(parse_host(host), port, scheme, path)
        assert {hit.list_id for hit in hits} <= {"other"}
    hits = found.match(parse_host("denied.example"), 25, "http", "/")
    assert [hit.rule for hit in hits] == ["other:1"]
    assert set(found.lists) == {"t", "other"}


def test_nothing_to_compile(tmp_path: Path) -> None:
    found = Generation.open(compiled(tmp_path), {})
    assert (found.size, found.lists) == (0, {})
    assert found.match(parse_host("a.example"), 80, "http", "/") == ()
    assert found.match(parse_host("2001:db8::1"), 80, "http", "/x") == ()


def test_it_answers_after_its_files_are_gone(tmp_path: Path) -> None:
    folder = compiled(tmp_path, t=entries(LINES))
    found = Generation.open(folder, {"t": Terms("t")})
    for path in folder.iterdir():
        path.unlink()
    assert found.match(parse_host("a.denied.example"), 443, "https", "/")
    with pytest.raises(BadGeneration):
        Generation.open(folder, {})


REFUSED = [
    (r"(a", "Missing close parenthesis"),
    (r"a(?=b)", "Zero-width assertions are not supported"),
    (r"(a)\1", "back-references"),
    (r"a*", "matches empty buffer"),
    ("a\0b", "a zero octet is written"),
]


@pytest.mark.parametrize(("pattern", "reason"), REFUSED)
def test_a_pattern_that_cannot_be_matched_in_linear_time(tmp_path: Path, pattern: str,
                                                         reason: str) -> None:
    with pytest.raises(CompileError) as error:
        compiled(tmp_path, good=entries(LINES),
                 bad=entries([(Kind.PATTERN, "fine"), (Kind.PATTERN, pattern)]))
    assert (error.value.list_id, error.value.line, error.value.text) == ("bad", 2, pattern)
    assert reason.lower() in error.value.reason.lower()
    assert str(error.value).startswith("bad:2: ")
    assert list((tmp_path / "generations").iterdir()) == []


def test_a_path_that_may_be_two_places_is_denied_where_one_of_them_is(tmp_path: Path) -> None:
    """And not everywhere: an encoded question mark in front of a URL is an everyday thing."""
    folder = compiled(tmp_path, t=[
        Entry(Kind.PATTERN, "^http://[^/]+/admin", 1),
        Entry(Kind.PATTERN, "^http://[^/]+/admin/open", 2, Effect.ALLOW)])
    generation = Generation.open(folder, {"t": Terms("t")})

    def lines(path: str) -> list[int]:
        found = generation.match(parse_host("any.example"), 80, "http", path)
        return sorted(hit.line for hit in found)

    assert lines("/login%3Fnext=https://x/") == []
    assert lines("/x%3F/../admin") == [1] and lines("/x#/../admin") == [1]
    assert lines("/admin/open") == [1, 2]
    assert lines("/admin/open#/../x") == [1]  # what may be another place is not allowed
