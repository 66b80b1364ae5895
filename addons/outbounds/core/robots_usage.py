"""For which uses a site gives its pages: Content-Signal and Content-Usage.

Content-Signal (contentsignals.org) stands in a group of robots.txt: "search=yes, ai-train=no".
Content-Usage (draft-ietf-aipref-attach) stands there with a path, "/blog/ train-ai=n", or in a
response as a field of its own. Its value is a dictionary of RFC 9651 section 3.2 in the vocabulary
of draft-ietf-aipref-vocab; one that does not parse says nothing, as that draft has it. Both records
are taken with a path or without, which means every path.

**What holds for a path**, for each use by itself: of the records that speak about the use, the
most specific path, compared as those of rules (RFC 9309 section 2.2.2). Of equal paths, and where
Content-Signal and Content-Usage disagree, "no" wins (draft-ietf-aipref-vocab, "Combining
Preferences"). A file that has more to say than anyone would write is taken for a "no".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .robots_match import Group, Rule
from .robots_terms import PURPOSES, Preference

LIMIT = 1_000
"""Records of a file that are read. They are arranged and compared on the way of a request."""

_BOUND = 1_000_000  # steps (`robots_match.BOUND`), for each use and kind of record

_LABELS = {"search": "search", "ai-use": "ai-input", "train-ai": "ai-train"}
_VALUES = {"y": True, "n": False}

# RFC 9651 section 4.2. Possessive, so that nothing is ever tried twice.
_KEY = r"[a-z*][a-z0-9_\-.*]*+"
_BARE = (r"(?:-?[0-9]{1,12}+\.[0-9]{1,3}+|-?[0-9]{1,15}+|[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*+"
         r'|"(?:[ !#-\[\]-~]|\\["\\])*+"|:[A-Za-z0-9+/=]*+:|\?[01]|@-?[0-9]{1,15}+'
         r'|%"(?:[ !#$&-~]|%[0-9a-f]{2})*+")')
_PARAMETERS = rf"(?:;\ *+{_KEY}(?:={_BARE})?+)*+"
_INNER = rf"\(\ *+(?:{_BARE}{_PARAMETERS}(?:\ ++{_BARE}{_PARAMETERS})*+)?+\ *+\)"
_MEMBER = re.compile(rf"({_KEY})(?:=({_BARE}|{_INNER}))?+{_PARAMETERS}")
_SPACES = re.compile(r"[ \t]+")
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")

type Said = dict[str, bool]


class UsageRule(NamedTuple):
    """What one record says about one use. `rule` is turned round: it allows where the record says
    "no", so that among equal paths "no" is found first, as allow is among rules."""

    kind: str
    purpose: str
    rule: Rule


def header_preferences(value: str) -> tuple[Preference, ...]:
    """What a response's Content-Usage says; several fields are joined by commas first. `line` is
    0. Never raises."""
    return tuple(Preference(purpose, allowed, 0) for purpose, allowed in _usage(value).items())


def usage_rules(kind: str, value: str, line: int) -> list[UsageRule]:
    """What the record `kind` (a key of `READ`) says. Never raises."""
    pattern = "/"
    if value.startswith("/"):
        pattern, *rest = _SPACES.split(value, 1)
        value = rest[0] if rest else ""
    return [UsageRule(kind, purpose, Rule.of(not allowed, pattern, line))
            for purpose, allowed in READ[kind](value).items()]


class Usage:
    """What binds one product token, arranged to be asked about paths."""

    __slots__ = ("_groups",)

    def __init__(self, rules: Iterable[UsageRule]) -> None:
        by_use: dict[tuple[str, str], list[Rule]] = {}
        for each in rules:
            by_use.setdefault((each.purpose, each.kind), []).append(each.rule)
        self._groups = [(purpose, [Group(by_use[purpose, kind], _BOUND) for kind in READ
                                   if (purpose, kind) in by_use]) for purpose in PURPOSES]

    def of(self, target: str) -> tuple[Preference, ...]:
        """What is said about `target` (`origin_form`)."""
        said: list[Preference] = []
        for purpose, groups in self._groups:
            # turned round (see `UsageRule`), and too costly to tell is "no" by line 0
            answers = [Preference(purpose, not match.allowed and match.line > 0, match.line)
                       for match in (group.judge(target) for group in groups)
                       if match.line or not match.allowed]
            if answers:
                said.append(min(answers, key=lambda answer: answer.allowed))
        return tuple(said)


def _signal(value: str) -> Said:
    said: Said = {}
    for each in value.lower().split(","):
        purpose, equals, answer = (part.strip(" \t") for part in each.partition("="))
        if purpose in PURPOSES and equals and answer in ("yes", "no"):
            said[purpose] = said.get(purpose, True) and answer == "yes"
    return said


def _usage(value: str) -> Said:
    value = value.strip(" ")
    values: dict[str, str | None] = {}
    at = 0
    while True:
        member = _MEMBER.match(value, at)
        if member is None:
            return {}
        values[member[1]] = member[2]  # the last of equal keys counts (RFC 9651 section 4.2.2)
        if member.end() == len(value):
            break
        comma = _COMMA.match(value, member.end())
        if comma is None:
            return {}
        at = comma.end()
    return {_LABELS[label]: _VALUES[answer] for label, answer in values.items()
            if label in _LABELS and answer in _VALUES}


READ: dict[str, Callable[[str], Said]] = {"content-signal": _signal, "content-usage": _usage}
"""What reads the value of a record, by its key."""
