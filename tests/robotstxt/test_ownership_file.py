"""`sites.json`: what is written is read again, by anybody, whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outbounds.core.site_claims import Proof, SiteClaim
from outbounds.robotstxt.ownership_file import (
    SitesFileError,
    add_claim,
    new_token,
    read_sites,
    remove_claim,
    sites_path,
    write_looks,
)
from wire.harness import wait_until

NOW = 1_800_000_000.0
TOKEN = "0123456789abcdef" * 2
CLAIM = SiteClaim("acme", "example.com", Proof.DNS, TOKEN, NOW, "root (alice)")
PROVED = replace(CLAIM, since=NOW + 1, found=NOW + 2.5, looked=NOW + 3.125, failures=2,
                 failure="it “is” gone")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return sites_path(tmp_path / "var")


def test_what_is_claimed_is_read_again(path: Path) -> None:
    assert read_sites(path) == ()
    assert add_claim(path, CLAIM) is CLAIM
    assert read_sites(path) == (CLAIM,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    by_file = replace(CLAIM, host="192.0.2.7", proof=Proof.FILE, token=new_token())
    of_other = replace(CLAIM, account="zeta", token=new_token())
    add_claim(path, by_file)
    add_claim(path, of_other)
    write_looks(path, [PROVED])
    assert read_sites(path) == (PROVED, by_file, of_other)
    assert remove_claim(path, "acme", "example.com") == PROVED
    assert remove_claim(path, "acme", "example.com") is None
    assert read_sites(path) == (by_file, of_other)


def test_a_claim_that_is_made_twice_is_one(path: Path) -> None:
    add_claim(path, PROVED)
    assert add_claim(path, replace(CLAIM, token=new_token(), claimed=NOW + 9)) == PROVED
    with pytest.raises(SitesFileError, match="claimed already, by dns; remove that claim first"):
        add_claim(path, replace(CLAIM, proof=Proof.FILE))
    assert read_sites(path) == (PROVED,)


def test_what_was_removed_meanwhile_stays_removed(path: Path) -> None:
    """A look that began before a removal must not bring the claim back, nor prove a new one."""
    add_claim(path, CLAIM)
    remove_claim(path, "acme", "example.com")
    write_looks(path, [PROVED])
    assert read_sites(path) == ()
    anew = replace(CLAIM, token=new_token())
    add_claim(path, anew)
    write_looks(path, [PROVED])
    assert read_sites(path) == (anew,)


def test_times_can_be_read_by_people(path: Path) -> None:
    add_claim(path, PROVED)
    entry, = json.loads(path.read_text())["sites"]
    assert (entry["claimed"], entry["found"]) == ("2027-01-15T08:00:00Z",
                                                  "2027-01-15T08:00:02.500000Z")


def test_tokens_cannot_be_guessed() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in tokens)


GOOD = {"account": "acme", "host": "example.com", "proof": "dns", "token": TOKEN,
        "claimed": "2027-01-15T08:00:00Z"}
BAD: list[tuple[str, Any, str]] = [
    ("not JSON", "{", "truncated"),
    ("another form", "{}", "sites"),
    ("no text", b"\xff\xfe", "mend the file"),
    ("unknown key", {**GOOD, "until": 1}, "until"),
    ("no account", {**GOOD, "account": ""}, "account"),
    ("no proof", {**GOOD, "proof": "word"}, "proof"),
    ("no token", {**GOOD, "token": "a"}, "token"),
    ("no time zone", {**GOOD, "claimed": "2027-01-15T08:00:00"}, "$.sites[0].claimed"),
    ("failures", {**GOOD, "failures": -1}, "failures"),
    ("two lines", {**GOOD, "failure": "a\nb"}, "failure"),
    ("no host", {**GOOD, "host": "a b"}, "sites[0].host: 'a b' is not a host"),
    ("suffix", {**GOOD, "host": "co.uk"}, "sites[0].host: 'co.uk'"),
    ("another spelling", {**GOOD, "host": "Example.com"}, "write 'example.com'"),
]


@pytest.mark.parametrize(("content", "said"), [case[1:] for case in BAD],
                         ids=[case[0] for case in BAD])
def test_a_broken_file_is_an_error_that_names_it(path: Path, content: Any, said: str) -> None:
    path.parent.mkdir()
    text = json.dumps({"sites": [content]}) if isinstance(content, dict) else content
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = path.read_bytes()
    for act in (lambda: read_sites(path), lambda: add_claim(path, CLAIM),
                lambda: remove_claim(path, "acme", "example.com"),
                lambda: write_looks(path, [PROVED])):
        with pytest.raises(SitesFileError) as error:
            act()
        assert str(error.value).startswith(f"{path}: ") and said in str(error.value)
    assert path.read_bytes() == before  # nobody writes over what nobody could read


def test_a_claim_that_stands_there_twice_is_an_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"sites": [GOOD, {**GOOD, "account": "zeta"}, GOOD]}))
    with pytest.raises(SitesFileError, match=r"sites\[2\]: .* in sites\[0\] already"):
        read_sites(path)


@pytest.mark.parametrize("claim", [
    replace(CLAIM, host="other.example", failure="x" * 501),
    replace(CLAIM, host="other.example", by="a\nb"),
    replace(CLAIM, host="other.example", account="x" * 200)], ids=["long", "lines", "account"])
def test_what_could_not_be_read_again_is_not_written(path: Path, claim: SiteClaim) -> None:
    add_claim(path, CLAIM)
    with pytest.raises(SitesFileError, match="not changed"):
        add_claim(path, claim)
    assert read_sites(path) == (CLAIM,)


def _claim_many(path: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        add_claim(path, replace(CLAIM, host=f"n{number}.example"))


def test_two_writers_at_once_both_get_what_they_asked_for(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_claim_many, args=(path, first, 20)) for first in (0, 100)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert [each.exitcode for each in both] == [0, 0]
    assert {each.host for each in read_sites(path)} == {
        f"n{number}.example" for first in (0, 100) for number in range(first, first + 20)}


def test_a_writer_that_is_killed_leaves_a_whole_file(path: Path) -> None:
    """And no lock: the next one writes at once."""
    writer = multiprocessing.get_context("spawn").Process(
        target=_claim_many, args=(path, 0, 10**6))
    writer.start()
    wait_until(lambda: len(read_sites(path)) >= 5, 60)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(60)
    left = read_sites(path)
    assert [each.host for each in left] == [f"n{number}.example" for number in range(len(left))]
    add_claim(path, CLAIM)
    assert read_sites(path) == (*left, CLAIM)
