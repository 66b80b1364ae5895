"""Where reppy, as an engine, judges otherwise than RFC 9309 does: counted over generated cases.

    python -m benchmarks.robots_differences [CASES]

Each case is a file, a path and a product token, made by a seeded generator out of what files in
the wild hold and what the RFC is particular about. Both engines are given the same. A case in which
they differ is written in another way that to the RFC means the same; the first such way in which
they agree names the class. reppy is asked in its own process, so that a case that ends it is a
class as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from outbounds.core.robots import Robots
from outbounds.core.robots_spelling import origin_form, spell
from outbounds.robotstxt.reppy_engine import name_of, urls_of
from outbounds.robotstxt.reppy_process import CannotRead, ReppyProcess, WorkerDied

from .robots_cases import Case, generate
from .robots_published import PUBLISHED

CASES = 5_000


@dataclass(slots=True)
class Difference:
    """`count` cases; in `open` of them reppy allows what the RFC refuses. One example, and what
    reppy does there."""

    count: int = 0
    open: int = 0
    example: Case | None = None
    does: str = ""


@dataclass(slots=True)
class Outcome:
    cases: int
    differences: dict[str, Difference] = field(default_factory=dict)

    @property
    def differing(self) -> int:
        return sum(each.count for each in self.differences.values())

    def markdown(self) -> str:
        lines = [f"| reppy differs | of {self.cases:,} | allows too much | such as |",
                 "|---|--:|--:|---|"]
        for name, each in sorted(self.differences.items(), key=lambda item: -item[1].count):
            assert each.example is not None
            example = _shown(each.example, each.does)
            lines.append(f"| {name} | {each.count} | {each.open} | {example} |")
        lines.append(f"| **all** | **{self.differing}** | "
                     f"**{sum(each.open for each in self.differences.values())}** | |")
        return "\n".join(lines)


# --- why they differ ------------------------------------------------------------------------------

def _replaced(pattern: bytes, by: bytes) -> Callable[[Case], Case]:
    compiled = re.compile(pattern, re.MULTILINE | re.IGNORECASE)
    return lambda case: replace(case, body=compiled.sub(by, case.body))


def _from_first_group(case: Case) -> Case:
    found = re.search(rb"^user[- ]?agent", case.body, re.MULTILINE | re.IGNORECASE)
    return replace(case, body=case.body[found.start():] if found else b"")


def _one_spelling(case: Case) -> Case:
    def spelt(rule: re.Match[bytes]) -> bytes:
        parts = re.split(r"([*$])", rule[2].decode("latin-1"))
        return rule[1] + "".join(part if part in "*$" else spell(part) for part in parts).encode()

    body = re.sub(rb"(allow\s*:\s*)([^\r\n#]*)", spelt, case.body, flags=re.IGNORECASE)
    return replace(case, body=body, path=origin_form(case.path))


def _one_group_for_each(case: Case) -> Case:
    """All groups for a token as one, and a blank line only between two."""
    groups: dict[bytes, list[bytes]] = {}
    names: list[bytes] = []
    open_ = False
    for line in _lines(case):
        key, _, value = line.partition(b":")
        key, value = key.strip().lower(), value.strip()
        if key == b"user-agent":
            names = [value.lower()] if not open_ else [*names, value.lower()]
            open_ = True
            groups.setdefault(value.lower(), [])
        elif key in (b"allow", b"disallow"):
            open_ = False
            for name in names:
                groups[name].append(line.strip())
    return replace(case, body=b"\n\n".join(
        b"\n".join((b"User-agent: " + name, *rules)) for name, rules in groups.items()) + b"\n")


_RULE = re.compile(rb"(dis)?allow\s*:", re.IGNORECASE)
_DISALLOW = re.compile(rb"disallow\s*:", re.IGNORECASE)


def _lines(case: Case) -> list[bytes]:
    return re.split(rb"\r\n|\r|\n", case.body)


def _allows_first(case: Case) -> Case:
    lines: list[bytes] = []
    for _, run in groupby(_lines(case), lambda line: bool(_RULE.match(line))):
        lines += sorted(run, key=lambda line: bool(_DISALLOW.match(line)))
    return replace(case, body=b"\n".join(lines))


def _deciding_rule_alone(case: Case) -> Case:
    deciding = Robots.parse(case.body).allowed(case.path, case.agent).line
    return replace(case, body=b"\n".join(
        line for number, line in enumerate(_lines(case), 1)
        if number == deciding or not _RULE.match(line)))


# A class explains a difference that is gone once the case is written in this other way, which to
# the RFC means the same.
CLASSES: tuple[tuple[str, Callable[[Case], Case]], ...] = (
    ("CR alone ends no line for it", _replaced(rb"\r(?!\n)", b"\n")),
    ("rules before any group bind everyone", _from_first_group),
    ("it reads no comment behind a value", _replaced(rb"[ \t]*#.*", b"")),
    ("a name with a version is another name",
     _replaced(rb"(user-?agent\s*:\s*\w+)/[\d.]+", rb"\1")),
    ("a directive without its colon is none",
     _replaced(rb"^(user-agent|allow|disallow) (?!:)", rb"\1: ")),
    ("a misspelt directive is none",
     lambda case: _replaced(rb"^diss?all?ow", b"Disallow")(
         _replaced(rb"^user ?agent", b"User-agent")(case))),
    ('"$" within a rule ends it', _replaced(rb"(allow\s*:[^\r\n#]*)\$(?=[^\s#])", rb"\1%24")),
    ("of equal rules the first decides, not the allow", _allows_first),
    ("a group in parts, or of several names, is another", _one_group_for_each),
    ("percent-encoding, characters beyond ASCII and dot segments", _one_spelling),
    ('a rule that ends in "*$" matches nothing',
     _replaced(rb"(allow\s*:[^\r\n#]*?)\*\$[ \t]*(?=[\r\n#]|\Z)", rb"\1**")),
    ("an absolute URL or a relative path as a rule",
     _replaced(rb"^(dis)?allow\s*:\s*(?![/*\s])[^\r\n]*", b"")),
    ("of several rules that match, another one decides", _deciding_rule_alone),
)
SEVERAL = "several of these at once"
OTHER = "other"


class Judges:
    """Both engines, asked about a case alike."""

    def __init__(self) -> None:
        self._process: ReppyProcess | None = None

    async def differ(self, case: Case) -> str:
        """"" where they agree, else what reppy does: "allows", "refuses", "cannot", "ends"."""
        if self._process is None or self._process.dead:
            self._process = ReppyProcess(deadline=2.0)
            await self._process.start()
        robots = Robots.parse(case.body)
        ours = robots.allowed(case.path, case.agent).allowed
        try:
            theirs, = await self._process.ask(
                hashlib.sha256(case.body).hexdigest(), case.body, (name_of(robots, case.agent),),
                urls_of(case.path))
        except CannotRead:
            return "cannot"
        except WorkerDied:
            return "ends"
        return "" if theirs == ours else "allows" if theirs else "refuses"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()


async def compare(cases: Sequence[Case]) -> Outcome:
    """Raises WorkerDied where reppy cannot be started."""
    judges, outcome = Judges(), Outcome(len(cases))
    try:
        for case in cases:
            what = await judges.differ(case)
            if not what:
                continue
            name = {"cannot": "the file cannot be read", "ends": "its process ends"}.get(what) \
                or await _class_of(judges, case)
            found = outcome.differences.setdefault(name, Difference())
            found.count += 1
            found.open += what == "allows"
            if found.example is None or len(case.body) < len(found.example.body):
                found.example, found.does = case, what
    finally:
        judges.close()
    return outcome


async def _class_of(judges: Judges, case: Case) -> str:
    ours = _verdict(case)
    together = case
    for name, rewrite in CLASSES:
        if _verdict(other := rewrite(case)) == ours and not await judges.differ(other):
            return name
        if _verdict(other := rewrite(together)) == ours:
            together = other
            if not await judges.differ(together):
                return SEVERAL
    return OTHER


def _verdict(case: Case) -> bool:
    return Robots.parse(case.body).allowed(case.path, case.agent).allowed


def _shown(case: Case, does: str) -> str:
    text = case.body.decode("utf-8", "replace").strip()
    for octets, mark in (("\r\n", " ⏎ "), ("\n", " ⏎ "), ("\r", " ␍ "), ("\ufeff", "")):
        text = text.replace(octets, mark)
    return f"`{text}`: {does} {case.agent} at `{case.path}`".replace("|", "\\|")


async def of_published() -> dict[str, tuple[int, int]]:
    """By what is tested: how many questions reppy answers otherwise, and of how many; where any."""
    judges, found = Judges(), {}
    try:
        for title, text, questions in PUBLISHED:
            wrong = [await judges.differ(Case(text.encode(), path, agent))
                     for agent, path in questions]
            if any(wrong):
                found[title] = (sum(map(bool, wrong)), len(wrong))
    finally:
        judges.close()
    return found


def main() -> None:
    outcome = asyncio.run(compare(generate(int(sys.argv[1]) if len(sys.argv) > 1 else CASES)))
    print(outcome.markdown())
    published = asyncio.run(of_published())
    asked = sum(len(questions) for _, _, questions in PUBLISHED)
    print(f"\nOf {asked} questions after the tests of google/robotstxt, "
          f"{sum(wrong for wrong, _ in published.values())}: "
          + "; ".join(f"{title} ({wrong} of {of})" for title, (wrong, of) in published.items()))


if __name__ == "__main__":
    main()
