"""Cases: files built of the words of robots.txt or of samples, then mutated; paths and agents."""

from __future__ import annotations

import random
from dataclasses import dataclass

KEYS = [b"user-agent", b"User-Agent", b"useragent", b"user agent", b"allow", b"Allow", b"disallow",
        b"Disallow", b"dissallow", b"disalow", b"crawl-delay", b"request-rate", b"visit-time",
        b"content-signal", b"content-usage", b"sitemap", b"host", b"noindex", b""]
NAMES = [b"*", b"foobot", b"FooBot/1.2", b"barbot", b"Mozilla", b"* x", b"MJ12bot", b"", b"\xff",
         b"foobot-image"]
VALUES = [b"", b"1", b"0.5", b"1/5", b"30/1m", b"1/10s 0600-0845", b"0600-0845", b"2200-0600",
          b"nan", b"search=yes, ai-train=no", b"/ train-ai=n", b"/a search=y, train-ai=n;x=\"y\"",
          b"1e9", b"https://foo.example/sitemap.xml", b"-1", b"ai-input=no"]
PIECES = [b"/", b"a", b"b", b"ab", b"*", b"$", b"?", b"&", b"=", b"%", b"%2F", b"%2f", b"%2A",
          b"%7E", b"~", b".", b"..", b"//", b"%25", b"%zz", b"\xc3\xa9", b"\xff", b"#", b";", b":",
          b" ", b"index.html", b"x" * 60, b"%61", b"%e3%83%84", b"@", b"\x00", b"+", b"|"]
ENDS = [b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n"]
SEPARATORS = [b": ", b":", b" : ", b" ", b"\t", b"::", b""]
AGENTS = ["FooBot/1.0", "Mozilla/5.0 (compatible; FooBot/1.2; +https://foo.example/bot)", "", "*",
          "barbot", "Mozilla/5.0 (X11; Linux x86_64) Firefox/125.0", "FooBot-Image/1 FooBot", "é",
          "MJ12bot/v1.4.8", "x" * 3000, "a b " * 400]
SAMPLES = [
    b"User-agent: *\nDisallow: /private/\nAllow: /private/open$\nCrawl-delay: 10\n\n"
    b"User-agent: FooBot\nDisallow: /*?sort=\nDisallow: /*.pdf$\n",
    b"\xef\xbb\xbfUser-Agent: *\r\nContent-Signal: search=yes,ai-train=no\r\nAllow: /\r\n",
    b"user-agent: foobot\nuser-agent: barbot\nrequest-rate: 1/5s 0600-0845\ndisallow /a/b\n"
    b"sitemap: https://foo.example/s.xml\nallow: /a/b/c\nuser-agent: *\ndisallow:\n",
    "User-agent: *\r\nDisallow: /x\r\n".encode("utf-16"),
    b"<!doctype html><html><head><title>Not found</title></head></html>",
]


@dataclass(frozen=True, slots=True)
class Case:
    """`url` is a path and query as in a request line; `more` are a rule's pattern and a place, for
    invariants that change the file."""

    body: bytes
    url: str
    agent: str
    pattern: str
    place: int


def case(source: random.Random) -> Case:
    body = source.choice(SAMPLES) if source.random() < 0.3 else _file(source)
    if source.random() < 0.6:
        body = _mutated(source, body)
    url = "/" + _pieces(source, source.choice((4, 8, 40))).decode("utf-8", "surrogateescape")
    if source.random() < 0.03:
        url *= source.randrange(1, 200)
    agent = source.choice(AGENTS)
    pattern = "/" + _pieces(source, 5).decode("latin-1")
    return Case(body, url, agent, pattern, source.randrange(1 << 16))


def _file(source: random.Random) -> bytes:
    lines = [_line(source) for _ in range(source.choice((3, 10, 30)))]
    if source.random() < 0.05:  # what a hostile file is made of: one short thing, many times
        lines = lines[:3] * source.randrange(1, 400)
    return b"".join(lines)


def _line(source: random.Random) -> bytes:
    key = source.choice(KEYS)
    if key.lower().startswith(b"user"):
        value = source.choice(NAMES)
    elif key.lower().endswith((b"allow", b"alow")):
        value = b"/" * (source.random() < 0.9) + _pieces(source, 6)
    else:
        value = source.choice(VALUES)
    comment = b" # " + source.choice(VALUES) if source.random() < 0.1 else b""
    return key + source.choice(SEPARATORS) + value + comment + source.choice(ENDS)


def _pieces(source: random.Random, most: int) -> bytes:
    return b"".join(source.choice(PIECES) for _ in range(source.randrange(most)))


def _mutated(source: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(source.randrange(1, 6)):
        at = source.randrange(len(changed) + 1)
        match source.randrange(4):
            case 0:
                changed[at:at] = source.randbytes(source.randrange(1, 4))
            case 1:
                del changed[at:at + source.randrange(1, 6)]
            case 2:
                changed[at:at] = changed[at:at + 12] * source.randrange(1, 5)
            case _:
                changed[at:at] = source.choice((*PIECES, *KEYS, *ENDS))
    return bytes(changed)
