"""Files, paths and names, made by a seeded generator out of what files in the wild hold and what
RFC 9309 is particular about."""

from __future__ import annotations

import random
from dataclasses import dataclass

SEED = 9309


@dataclass(frozen=True, slots=True)
class Case:
    body: bytes
    path: str
    agent: str


_WORDS = ("a", "b", "shop", "private", "index.html", "x.php", "A", "search", "%7Eme", "~me", "%2F",
          "é", "%C3%A9", "a b", "a,b", "a%2Cb", "*", "..", "$", "cart")
_AGENTS = ("FooBot", "foobot", "BarBot", "OtherBot", "foo")
_ENDS = ("\n", "\n", "\n", "\n", "\n", "\r\n", "\r")
_KEYS = (("Disallow", 60), ("Allow", 25), ("disallow", 4), ("DISALLOW", 2), ("Dissallow", 2),
         ("Disalow", 1), ("Allow ", 1), ("Crawl-delay", 2), ("Sitemap", 2), ("Clean-param", 1))
_AGENT_LINES = ("User-agent: {}", "User-agent: {}", "User-agent: {}", "User-agent: {}",
                "user-agent:{}", "User-Agent : {}", "User agent: {}", "Useragent: {}",
                "User-agent: {}/1.2", "User-agent {}", "User-agent: {} # bot")


def _path(rng: random.Random) -> str:
    path = "/" + "/".join(rng.choices(_WORDS[:16], k=rng.choice((0, 1, 1, 2, 2, 3))))
    if rng.random() < 0.12:
        path += "?" + rng.choice(("q=1", "a=/x", "a=%2Fx", "q=a&b=c"))
    if rng.random() < 0.04:
        path += "/../" + rng.choice(_WORDS[:4])
    return path.replace(" ", "%20")


def _rule(rng: random.Random) -> str:
    key = rng.choices([key for key, _ in _KEYS], [weight for _, weight in _KEYS])[0]
    if key in ("Crawl-delay", "Sitemap", "Clean-param"):
        return {"Crawl-delay": "Crawl-delay: 2", "Sitemap": "Sitemap: http://site.example/map.xml",
                "Clean-param": "Clean-param: ref"}[key]
    kind = rng.random()
    if kind < 0.06:
        value = ""
    elif kind < 0.1:
        value = rng.choice(("shop", "http://site.example/shop", "*", "*/shop", "//shop", "/?"))
    else:
        value = "/" + "/".join(rng.choices(_WORDS, k=rng.choice((0, 1, 1, 1, 2, 2))))
        if rng.random() < 0.2:
            at = rng.randrange(len(value)) + 1
            value = value[:at] + "*" + value[at:]
        if rng.random() < 0.1:
            value += "$"
    comment = " # why" if rng.random() < 0.04 else ""
    separator = rng.choices((": ", ":", " : ", " "), (88, 6, 3, 3))[0]
    return f"{key}{separator}{value}{comment}"


def generate(count: int, seed: int = SEED) -> list[Case]:
    """The same cases for the same numbers."""
    rng = random.Random(seed)
    cases = []
    for _ in range(count):
        lines: list[str] = []
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            for _ in range(rng.choice((1, 1, 1, 2))):
                name = rng.choice(("*", "*", *_AGENTS))
                lines.append(rng.choice(_AGENT_LINES).format(name))
                if rng.random() < 0.05:
                    lines.append(rng.choice(("", "Sitemap: http://site.example/a.xml")))
            lines += [_rule(rng) for _ in range(rng.choice((0, 1, 1, 2, 3, 4)))]
            if rng.random() < 0.8:
                lines.append("")
        if rng.random() < 0.05:
            lines = lines[1:]
        text = rng.choice(_ENDS).join(lines)
        body = (b"\xef\xbb\xbf" if rng.random() < 0.03 else b"") + text.encode()
        cases.append(Case(body, _path(rng), rng.choice(_AGENTS)))
    return cases
