"""`outbounds robots …` where no proxy runs: snapshots by their hash, and errors that name the fix.

What it says of a proxy that runs is in wire/test_robots_command.py.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.cli.robots_printing import readable
from outbounds.cli.robots_source import parse_target
from outbounds.robotstxt.snapshots import Snapshots
from wire.harness import free_port, make_config
from wire.origin import Origin

BODY = b"User-agent: *\r\nDisallow: /caf\xc3\xa9\r\n\xff"
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_config(tmp_path_factory.mktemp("robots") / "config", [])


@pytest.fixture(scope="module")
def kept(config: Path) -> Path:
    """The folder of the snapshots, with one in it."""
    folder = config / "var" / "robots"
    Snapshots(folder, 1e9).keep(DIGEST, BODY)
    return folder


def robots(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["robots", *words, "--config", str(config)])


@pytest.mark.parametrize("digits", [64, 12, 4])
def test_a_snapshot_octet_by_octet(config: Path, kept: Path, digits: int) -> None:
    result = robots(config, "snapshot", DIGEST[:digits].upper())
    assert (result.exit_code, result.stdout_bytes) == (0, BODY)


@pytest.mark.parametrize(("digest", "code", "why"), [
    ("abc", 2, "is no SHA-256, nor the first four"),
    ("xyz0" * 16, 2, "is no SHA-256, nor the first four"),
    ("../../../../etc/passwd", 2, "is no SHA-256"),
    (DIGEST + "0", 2, "is no SHA-256"),
    ("0" * 64, 1, "no file is kept whose SHA-256 begins with 000"),
])
def test_a_hash_that_names_none(config: Path, kept: Path, digest: str, code: int,
                                why: str) -> None:
    result = robots(config, "snapshot", digest)
    assert result.exit_code == code and why in " ".join(result.output.split()), result.output


def test_several_files_that_begin_so(config: Path, kept: Path) -> None:
    twin = kept / DIGEST[:2] / f"{DIGEST[:4]}{'0' * 60}.txt"
    twin.write_bytes(b"")
    try:
        result = robots(config, "snapshot", DIGEST[:4])
    finally:
        twin.unlink()
    assert result.exit_code == 1 and f"2 files begin with {DIGEST[:4]}" in result.output
    assert DIGEST in result.output


def test_a_file_that_was_changed_is_not_shown(config: Path, kept: Path) -> None:
    path = kept / DIGEST[:2] / f"{DIGEST}.txt"
    path.write_bytes(BODY + b"Allow: /\n")
    try:
        result = robots(config, "snapshot", DIGEST)
    finally:
        path.write_bytes(BODY)
    assert result.exit_code == 1 and "its hash is another" in result.output
    assert b"Allow" not in result.stdout_bytes


def test_without_proxy_and_collector_nothing_is_fetched(config: Path) -> None:
    """A fetch is a request to a target: nothing reaches one before its record is safe."""
    with Origin(free_port(), robots="User-agent: *\nDisallow: /\n") as origin:
        alone = make_config(config.parent / "alone", [origin.port])
        url = f"http://127.0.0.1:{origin.port}/x"
        shown = robots(alone, "show", url)
        why = robots(alone, "why", url, "--json")
        refreshed = robots(alone, "refresh", url)
        assert origin.seen == []
    assert shown.exit_code == 0
    assert "unreachable: 127.0.0.1 was not asked" in shown.output
    assert "no proxy runs; this command has asked the site itself" in shown.output
    assert why.exit_code == 1
    assert json.loads(why.stdout)["verdict"]["rule"] == "robots/unreachable"
    assert refreshed.exit_code == 1 and "cannot be recorded" in refreshed.output


@pytest.mark.parametrize(("words", "code", "why"), [
    (("show", "ftp://x.example/"), 2, "is neither a host nor an http or https URL"),
    (("show", "x.example:8080"), 2, "is neither a host nor an http or https URL"),
    (("show", "a..b"), 2, "is not a host"),
    (("refresh", "http://"), 2, "is neither a host nor"),
    (("why", "http://x.example:port/"), 2, "port"),
    (("why", "http://x.example/", "--account", "nobody"), 2, "there is no account 'nobody'"),
    (("show", "http://x.example/", "--raw"), 1, "there is no file to print"),
])
def test_errors_are_plain(config: Path, words: tuple[str, ...], code: int, why: str) -> None:
    result = robots(config, *words)
    assert result.exit_code == code, result.output
    assert why.lower() in " ".join(result.output.lower().split())
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["show", "why", "refresh", "snapshot"])
def test_a_broken_configuration(tmp_path: Path, command: str) -> None:
    result = robots(tmp_path, command, "0" * 64 if command == "snapshot" else "http://x.example/")
    assert result.exit_code == (2 if command == "why" else 1)
    assert f"{tmp_path}/outbounds.yaml: no such file" in result.output


@pytest.mark.parametrize(("text", "origin", "path"), [
    ("example.com", ("https", "example.com", 443), "/"),
    ("EXAMPLE.com.", ("https", "example.com", 443), "/"),
    ("http://example.com", ("http", "example.com", 80), "/"),
    ("http://example.com:8080/a?b#c", ("http", "example.com", 8080), "/a?b"),
    ("https://[::1]:1/", ("https", "::1", 1), "/"),
])
def test_of_which_site(text: str, origin: tuple[str, str, int], path: str) -> None:
    target = parse_target(text)
    assert (target.origin, target.path) == (origin, path)


def test_a_line_cannot_steer_the_terminal() -> None:
    text = "caf\xe9 \xc3\xa9 \x1b[2J\x00\x9b\u202e".encode("utf-8", "replace").decode("latin-1")
    assert "\x1b" not in readable(text) and "\x9b" not in readable(text)
    assert readable("caf\xc3\xa9") == "café"
