"""AdBlock rules, as far as a proxy can honour them.

    ||example.com^           the name and everything below it
    ||*.example.com^         everything below it
    ||192.0.2.7^             the address
    @@||example.com^         lifts whatever else the same list says of it
    ||example.com/ads/*.js   a pattern over the URL, as is any other rule about more than a name
    /banner[0-9]+/           a regular expression over the URL

Sources: help.adblockplus.org, "How to write filters"; the AdGuard knowledge base, "How to create
your own ad filters" and "DNS filtering rules syntax".

A proxy sees requests, not pages. Rules about parts of pages (cosmetic rules, scripts) and options
that ask who loads what for whom (third-party, domain=, script, image, …) are unsupported: to leave
the option out would deny far more than the rule says. Four options change nothing here:

    all, document   the rule is meant to keep people from the site as such, so the whole site is
                    denied. As an exception document means the opposite of what it looks like
                    (nothing that the page loads is blocked) and is unsupported
    important       outranks exceptions in browsers; here exceptions of the same list still count
    match-case      letters of a pattern match in their case only

`badfilter` takes a rule out that another line has: it is honoured, wherever in the list it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...core.list_entry import Effect, Entry, Kind
from ..report import BadLine, Report, Unsupported
from . import entries, url_pattern
from .lines import Batch, LineFormat, Source
from .plain import Shape

_COSMETIC = re.compile(r"[^|@/\s]*?(?:#@?[?$%]{0,2}#|#@[?$%]#|\$@?\$)")
_OPTION = r"~?[\w-]+(?:=[^,\s]*)?"
_OPTIONS = re.compile(rf"(.*)\$({_OPTION}(?:,{_OPTION})*)", re.DOTALL | re.ASCII)
_EXPRESSION = re.compile(r"/(.+)/", re.DOTALL)
_NAME = re.compile(r"\|\|((?:\*\.)?[^/^*:|?$\s]+|\[[0-9a-fA-F:.]+\])(?:\^\|?|\^?\*|/\*?|)",
                   re.ASCII)
_MOST = 4096  # characters; those that are longer have a domain option with hundreds of names
_BARE = re.compile(r"[\w.-]+\.[\w-]{2,}\.?")

_HONOURED = {
    Effect.DENY: frozenset({"all", "document", "doc", "important", "match-case"}),
    Effect.ALLOW_ALWAYS: frozenset({"important", "match-case"}),
}
# so that reasons stay countable: what a rule calls an option may be anything
_KNOWN = frozenset({
    "third-party", "3p", "first-party", "1p", "strict1p", "strict3p", "domain", "from", "to",
    "script", "image", "stylesheet", "css", "object", "object-subrequest", "subdocument", "frame",
    "xmlhttprequest", "xhr", "websocket", "webrtc", "ping", "beacon", "font", "media", "other",
    "popup", "popunder", "document", "doc", "elemhide", "ehide", "generichide", "ghide",
    "genericblock", "specifichide", "shide", "inline-script", "inline-font", "redirect",
    "redirect-rule", "rewrite", "csp", "permissions", "header", "removeparam", "queryprune",
    "replace", "cookie", "method", "denyallow", "sitekey", "app", "network", "stealth", "content",
    "jsinject", "urlblock", "extension", "empty", "mp4", "client", "ctag", "dnstype", "dnsrewrite",
    "hls", "jsonprune", "removeheader", "urltransform", "uritransform", "noop", "all", "cname",
})


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    effect: Effect
    options: frozenset[str]


def _rule(line: str) -> _Rule:
    effect = Effect.ALLOW_ALWAYS if line.startswith("@@") else Effect.DENY
    text = line.removeprefix("@@")
    found = _OPTIONS.fullmatch(text)
    # an expression may end in $/, and then nothing after that $ is an option
    if found is None or (_EXPRESSION.fullmatch(text) and not _EXPRESSION.fullmatch(found[1])):
        return _Rule(text, effect, frozenset())
    options = frozenset(each.lower() if "=" not in each else each for each in found[2].split(","))
    return _Rule(found[1], effect, options)


def _parse(line: str, number: int, disabled: frozenset[_Rule]) -> Iterable[Entry]:
    if len(line) > _MOST:
        raise Unsupported(f"a rule of more than {_MOST} characters")
    if _COSMETIC.match(line):
        raise Unsupported("a cosmetic rule, about parts of pages")
    rule = _rule(line)
    if "badfilter" in rule.options:
        return ()
    if rule in disabled:
        raise Unsupported("a rule that a badfilter line takes out")
    for option in sorted(rule.options - _HONOURED[rule.effect]):
        word = option.removeprefix("~").partition("=")[0]
        raise Unsupported(f"the option {word}" if word in _KNOWN else "an option nobody knows")
    match_case = "match-case" in rule.options
    expression = _EXPRESSION.fullmatch(rule.text)
    if expression and not rule.text.startswith("//"):
        pattern = url_pattern.from_expression(expression[1], match_case)
        return (Entry(Kind.PATTERN, pattern, number, rule.effect),)
    if any(char.isspace() for char in rule.text):
        raise BadLine("white space within a rule")
    name = _NAME.fullmatch(rule.text)
    if name is not None:
        kind = Kind.BELOW if name[1].startswith("*.") else Kind.DOMAIN
        return (entries.name(kind, name[1].removeprefix("*."), number, rule.effect),)
    if _BARE.fullmatch(rule.text):
        raise BadLine("a bare name, which AdBlock looks for anywhere in a URL")
    return (Entry(Kind.PATTERN, url_pattern.from_rule(rule.text, match_case), number,
                  rule.effect),)


class AdBlock:
    """Read twice where there are badfilter lines: they may take out what stands above them."""

    def read(self, source: Source, report: Report) -> Iterator[Batch]:
        disabled = frozenset(
            _Rule(rule.text, rule.effect, rule.options - {"badfilter"})
            for _, text in source.blocks() if "badfilter" in text
            for line in map(str.strip, text.split("\n")) if "badfilter" in line[:_MOST]
            for rule in [_rule(line[:_MOST])] if "badfilter" in rule.options)

        def parse(line: str, number: int) -> Iterable[Entry]:
            return _parse(line, number, disabled)

        # a rule taken out must not get past in a block of plain ones
        shapes = () if disabled else (Shape(Kind.DOMAIN, "||", "^"),)
        lines = LineFormat(parse, r"!|\[|#(?![#@?$%])", shapes)
        for first, text in source.blocks():
            yield from lines.block(first, text, source.name, report)


ADBLOCK = AdBlock()
