"""Names, networks and URL patterns as lists have them, and hosts as crawlers ask for them.

Made up, from a seed, in the proportions of published lists: two thirds are registered names, the
rest names below one; a dozen top-level domains have most of them. What is large is kept below
build/bench, so that a second run begins at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from outbounds.core.destination import Host, parse_host
from outbounds.lists.formats.suffixes import suspects

from .report import OUT

_SYLLABLES = [
    "ad", "al", "an", "ar", "ba", "be", "bit", "blog", "bo", "buy", "ca", "cam", "car", "cash",
    "chat", "ci", "click", "co", "da", "data", "date", "deal", "di", "do", "dom", "e", "en", "er",
    "fa", "fast", "file", "fi", "fo", "free", "ga", "game", "go", "health", "hi", "home", "hot",
    "in", "info", "is", "ka", "ki", "la", "li", "live", "lo", "loan", "lu", "ma", "mail", "market",
    "me", "media", "mi", "mo", "na", "net", "news", "ni", "no", "on", "online", "or", "pa", "pay",
    "pe", "pi", "play", "po", "pro", "ra", "re", "ri", "ro", "sa", "se", "shop", "si", "site", "so",
    "store", "su", "ta", "te", "ti", "to", "top", "track", "tra", "tu", "un", "up", "va", "ve",
    "vi", "video", "vo", "web", "wi", "xa", "ya", "yo", "za", "zo"]
_TLDS = ["com"] * 45 + ["net"] * 8 + ["org"] * 6 + ["ru"] * 5 + ["de"] * 4 + ["info"] * 4 + [
    "xyz", "top", "site", "online", "cn", "co.uk", "com.br", "pl", "nl", "fr", "it", "shop",
    "club", "in", "biz", "us", "eu", "io", "tk", "cc", "me", "co", "jp", "com.au", "icu", "live",
    "cz", "dev"]
_BELOW = ["www", "cdn", "ads", "static", "mail", "login", "m", "api", "track", "img", "a", "secure"]

_SEED, _OTHER_SEED = 3, 4  # names from another seed are not on the list, but for a few by chance


def _names(seed: int) -> Iterator[str]:
    """Without end. No two of the first ten million are equal but for a few in a thousand. None is a
    public suffix, such as info.pl: a list that denies one of those is refused."""
    suffixes, parents = suspects()
    pick = random.Random(seed)
    some, chance, number = pick.choices, pick.random, pick.getrandbits
    while True:
        label = "".join(some(_SYLLABLES, k=2 + number(2)))
        shape = chance()
        if shape < 0.25:
            label += f"-{''.join(some(_SYLLABLES, k=2))}"
        elif shape < 0.5:
            label += str(number(12))
        elif shape < 0.55:
            label = f"{number(48):x}"
        name = f"{label}.{some(_TLDS)[0]}"
        while chance() < 0.3:
            name = f"{some(_BELOW)[0]}{number(6) if chance() < 0.3 else ''}.{name}"
        if name not in suffixes and name.partition(".")[2] not in parents:
            yield name


def names(size: int) -> Path:
    """A file of `size` different names, one a line."""
    path = OUT / f"names-{size}.txt"
    if not path.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        known: set[str] = set()
        with draft.open("w") as file:
            for name in _names(_SEED):
                if name not in known:
                    known.add(name)
                    file.write(f"{name}\n")
                    if len(known) == size:
                        break
        draft.rename(path)
    return path


def apart(size: int) -> Path:
    """A file of `size` names of which none is below another: what Squid takes as they are."""
    path = OUT / f"names-apart-{size}.txt"
    if not path.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        known: dict[str, None] = {}
        for name in _names(_SEED):
            if name.count(".") == 1 and not name.endswith(".uk"):
                known[name] = None
                if len(known) == size:
                    break
        draft = path.with_suffix(".draft")
        draft.write_text("".join(f"{name}\n" for name in known))
        draft.rename(path)
    return path


def hits(listed: Path, size: int, count: int) -> list[Host]:
    """Hosts that a list of `size` names holds: names spread over all of it, and names below."""
    pick = random.Random(_SEED)
    step = max(1, size // count)
    with listed.open() as file:
        some = [line.rstrip() for number, line in enumerate(file) if number % step == 0]
    pick.shuffle(some)
    return [parse_host(_below(name, pick)) for name in some[:count]]


def misses(count: int) -> list[Host]:
    pick = random.Random(_OTHER_SEED)
    made = _names(_OTHER_SEED)
    return [parse_host(_below(next(made), pick)) for _ in range(count)]


def _below(name: str, pick: random.Random) -> str:
    shape = pick.random()
    if shape < 0.4:
        return name
    name = f"{pick.choice(_BELOW)}.{name}"
    return name if shape < 0.8 else f"node-{pick.randrange(1000)}.{name}"


def networks(size: int) -> Iterator[str]:
    """Different networks of both families, a tenth IPv6; some lie inside others."""
    pick = random.Random(_SEED)
    known: set[str] = set()
    while len(known) < size:
        if len(known) % 10 == 0:
            length = pick.choice((32, 40, 48, 56, 64, 64, 128))
            value = 0x2 << 124 | pick.getrandbits(124)
            words = f"{value >> 128 - length << 128 - length:032x}"
            text = ":".join(words[at:at + 4] for at in range(0, 32, 4)) + f"/{length}"
        else:
            length = pick.choice((16, 20, 22, 24, 24, 24, 28, 32, 32, 32, 32))
            value = pick.randrange(1 << 24, 224 << 24) >> 32 - length << 32 - length
            text = ".".join(str(octet) for octet in value.to_bytes(4)) + f"/{length}"
        if text not in known:
            known.add(text)
            yield text


def addresses(count: int) -> list[Host]:
    pick = random.Random(_OTHER_SEED)
    return [parse_host(".".join(str(octet) for octet in
                                pick.randrange(1 << 24, 224 << 24).to_bytes(4)))
            if number % 10 else
            parse_host(":".join(f"{pick.getrandbits(16):x}" if at else "2a00" for at in range(8)))
            for number in range(count)]


def patterns(size: int) -> Iterator[str]:
    """Regular expressions as AdBlock lists hold them: paths, parameters, and paths of a site."""
    pick = random.Random(_SEED)
    made = _names(_SEED)
    for number in range(size):
        word = "".join(pick.choices(_SYLLABLES, k=3))
        yield (
            rf"/{word}[0-9]*[.](?:gif|js|png)",
            rf"[?&]{word}_id=[0-9a-f]+",
            rf"^https?://(?:[^/:]+[.])?{next(made).replace('.', '[.]')}(?::[0-9]+)?/{word}/",
            rf"/ads?/{word}[-_]{number}(?:[/?]|$)",
        )[number % 4]


def urls(count: int) -> list[tuple[Host, str]]:
    """Hosts and paths that nobody has asked for yet."""
    pick = random.Random(_OTHER_SEED)
    made = _names(_OTHER_SEED)
    return [(parse_host(next(made)), f"/{''.join(pick.choices(_SYLLABLES, k=3))}/"
             f"{''.join(pick.choices(_SYLLABLES, k=2))}-{number}.html"
             f"{f'?page={number}&sort=new' if pick.random() < 0.5 else ''}")
            for number in range(count)]
