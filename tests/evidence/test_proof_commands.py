"""`outbounds evidence verify | prove | publish | keys`: exit codes, what is said, what is left."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from collecting import Collector, wait_for
from written import Written

from outbounds.cli import main
from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import fetch, read_all
from outbounds.evidence.line import placeholder
from outbounds.evidence.tlog.checkpoint import Checkpoint
from outbounds.evidence.tlog.keys import read_keys
from outbounds.evidence.tlog.merkle import inclusion_proof, leaf_hash, root, verify_inclusion
from outbounds.evidence.tlog.tiles import TileReader, TileStore, tile_path
from outbounds.evidence.tlog.verified import read_checkpoint
from outbounds.settings.evidence_file import load_evidence

SHIPPED = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def log(tmp_path: Path) -> Written:
    made = Written(tmp_path / "evidence")
    for count in (600, 500, 90):
        made.run(count)
    made.seal()
    return made


def run(*words: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["evidence", *map(str, words)], input=given)


# --- verify -------------------------------------------------------------------------------------

def test_a_log_that_is_what_was_signed(log: Written, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{log.verifier}\n")
    for key in (tmp_path / "key", log.verifier):
        result = run("verify", "--log", log.directory, "--key", key)
        assert result.exit_code == 0, result.output
        assert "1190 records in 3 segments; the newest checkpoint covers 1190" in result.output
        assert result.output.endswith(f"{log.directory}: verified\n")
        assert "no --key was given" not in result.output


def test_without_a_key_it_says_what_that_proves(log: Written) -> None:
    result = run("verify", "--log", log.directory)
    assert result.exit_code == 0
    assert "not that nobody wrote everything anew" in result.output


def test_a_log_that_is_not(log: Written) -> None:
    hot = all_segments(log.directory)[-1].hot
    hot.write_bytes(hot.read_bytes().replace(b"account-", b"accounT-", 1))
    result = run("verify", "--log", log.directory)
    assert result.exit_code == 1
    assert "record: the first 1190 records are not those that" in result.output
    assert result.output.splitlines()[-1] == f"{log.directory}: NOT verified: 1 findings"


def test_as_json(log: Written) -> None:
    result = run("verify", "--log", log.directory, "--json", "--key", log.verifier)
    found = json.loads(result.output)
    assert (found["ok"], found["size"], found["trust"]) == (True, 1190, "given")
    (log.directory / "log" / tile_path(0, 1)).unlink()
    found = json.loads(run("verify", "--log", log.directory, "--json").output)
    assert (found["ok"], found["trust"]) == (False, "own")
    assert [each["kind"] for each in found["findings"]] == ["tile"]


def test_a_checkpoint_that_was_kept_elsewhere(log: Written, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes((log.directory / "log" / "checkpoint").read_bytes())
    assert run("verify", "--log", log.directory, "--checkpoint", kept).exit_code == 0
    other = Written(tmp_path / "other")
    other.run(3)
    result = run("verify", "--log", other.directory, "--checkpoint", kept)
    assert result.exit_code == 1 and f"signature: {kept}: signed by" in result.output


@pytest.mark.parametrize(("words", "text"), [
    (("--key", "x+y"), "--key x+y: "), (("--key", "/no/such"), "--key /no/such: No such file"),
    (("--checkpoint", "/no/such"), "does not exist")])
def test_wrong_usage(log: Written, words: tuple[str, ...], text: str) -> None:
    result = run("verify", "--log", log.directory, *words)
    assert result.exit_code == 2 and text in result.output


def test_where_there_is_no_log(tmp_path: Path) -> None:
    for words in (("verify",), ("keys", "show"), ("publish", tmp_path / "x"),
                  ("prove", "019a9d3c-5b7e-7c3a-9f41-6b1d2e3f4a5b")):
        result = run(*words, "--log", tmp_path)
        assert result.exit_code == 1 and "there is no log here" in result.output


# --- prove --------------------------------------------------------------------------------------

def test_a_record_is_proved_and_checked(log: Written, tmp_path: Path) -> None:
    result = run("prove", f"urn:uuid:{log.ids[700]}", "--log", log.directory, "-o", tmp_path / "p")
    assert result.exit_code == 0, result.output
    (proof,) = (tmp_path / "p").iterdir()
    assert proof.name == f"{log.ids[700]}-700.tlog-proof"
    (stored,) = fetch(log.directory, [700])
    (tmp_path / "record").write_bytes(stored.envelope)
    check = ("prove", "--check", proof, "--key", log.verifier)
    result = run(*check, tmp_path / "record")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("record 700 of outbounds/")
    # as a line of a hot segment has it, too
    line = stored.envelope + b"\t" + stored.detail + b"\n"
    assert run(*check, "-", given=line).exit_code == 0
    assert run(*check, "-", given=line.replace(b"account", b"accounT")).exit_code == 1
    assert run("prove", "--check", proof, tmp_path / "record").exit_code == 2
    proof.write_text(proof.read_text().replace("index 700", "index 701"))
    result = run(*check, tmp_path / "record")
    assert result.exit_code == 1 and "leads to another root" in result.output


def test_what_cannot_be_proved(log: Written, tmp_path: Path) -> None:
    words = ("--log", log.directory, "-o", tmp_path / "p")
    result = run("prove", "no-id", *words)
    assert result.exit_code == 2 and "a record's id is a UUID" in result.output
    result = run("prove", "019a9d3c-5b7e-7c3a-9f41-6b1d2e3f4a5b", *words)
    assert result.exit_code == 1 and "no record has the id" in result.output
    with all_segments(log.directory)[-1].hot.open("ab") as file:
        file.write(log.line())
    result = run("prove", log.ids[-1], *words)
    assert result.exit_code == 1 and "run this again in a second" in result.output
    (log.directory / "log" / tile_path(0, 2)).unlink()
    result = run("prove", log.ids[700], *words)
    assert result.exit_code == 1 and "tile/0/002: No such file" in result.output


# --- publish ------------------------------------------------------------------------------------

def monitor(folder: Path, log: Written) -> Checkpoint:
    """What somebody who follows the log reads: the checkpoint, then the tiles it needs."""
    checkpoint = read_checkpoint(folder / "checkpoint", [log.verifier])
    store = TileStore(folder)
    edge = []
    for level in range(max(1, -(-checkpoint.size.bit_length() // 8))):
        complete = checkpoint.size >> 8 * level
        path = folder / tile_path(level, complete >> 8, complete % 256)
        edge.append(path.read_bytes() if complete % 256 else b"")
    read = TileReader(store, checkpoint.size, edge)
    assert root(checkpoint.size, read) == checkpoint.root
    for at in (0, checkpoint.size // 2, checkpoint.size - 1):
        verify_inclusion(log.leaves[at], at, checkpoint.size,
                         inclusion_proof(at, checkpoint.size, read), checkpoint.root)
    return checkpoint


def entries(folder: Path) -> Iterator[bytes]:
    paths = sorted((folder / "tile" / "entries").rglob("*"))
    for path in paths:
        octets = path.read_bytes() if path.is_file() else b""
        while octets:
            (length,) = struct.unpack_from(">H", octets)
            yield octets[2:2 + length]
            octets = octets[2 + length:]


def test_a_published_log_can_be_followed(log: Written, tmp_path: Path) -> None:
    folder = tmp_path / "public"
    assert run("publish", "--log", log.directory, folder).exit_code == 0
    assert monitor(folder, log).size == 1190
    assert not (folder / "tile" / "entries").exists()
    assert (folder / "tile" / "0" / "004.p" / "166").exists()
    log.run(300)
    log.seal()
    full = (folder / "tile" / "0" / "001").stat().st_mtime_ns
    assert run("publish", "--log", log.directory, folder).exit_code == 0
    assert monitor(folder, log).size == 1490
    assert (folder / "tile" / "0" / "001").stat().st_mtime_ns == full
    assert not (folder / "tile" / "0" / "004.p").exists()


def test_entries_are_published_when_asked_for(log: Written, tmp_path: Path) -> None:
    folder = tmp_path / "public"
    for _ in range(2):
        assert run("publish", "--entries", "--log", log.directory, folder).exit_code == 0
        assert [leaf_hash(each) for each in entries(folder)] == log.leaves
    assert [*entries(folder)] == [each.envelope for each in read_all(log.directory)]


def test_an_erased_entry_takes_its_bundle_along(log: Written, tmp_path: Path) -> None:
    folder = tmp_path / "public"
    assert run("publish", "--entries", "--log", log.directory, folder).exit_code == 0
    segment = all_segments(log.directory)[-1]
    lines = segment.hot.read_bytes().splitlines(keepends=True)
    segment.hot.write_bytes(b"".join([placeholder(lines[0].partition(b"\t")[0]) + b"\n",
                                      *lines[1:]]))
    result = run("publish", "--entries", "--log", log.directory, folder)
    assert "1 bundles of entries were left out" in result.output
    assert len([*entries(folder)]) == 1024


# --- keys ---------------------------------------------------------------------------------------

def test_keys_are_shown(log: Written) -> None:
    assert run("keys", "show", "--first", "--log", log.directory).output == f"{log.verifier}\n"
    assert "in force" in run("keys", "show", "--log", log.directory).output
    found = json.loads(run("keys", "show", "--json", "--log", log.directory).output)
    assert [each["verifier"] for each in found] == [str(log.verifier)]


def test_the_running_collector_replaces_its_key(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    for name in ("outbounds.yaml", "evidence.yaml"):
        shutil.copy(SHIPPED / name, config)
    settings = load_evidence(config)[1]
    directory = settings.directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    collector = Collector(directory, settings.socket)
    try:
        wait_for(settings.socket.exists)
        result = run("keys", "replace", "--config", config)
        assert result.exit_code == 0, result.output + collector.errors
        keys = read_keys(directory / "log" / "keys")
        assert len(keys) == 2
        assert result.output == f"signed from now on by {keys[1].verifier}\n"
        read_checkpoint(directory / "log" / "checkpoint", [keys[1].verifier])
        (path,) = (directory / "log").glob("key-*.pem")
        assert keys[1].verifier.id.hex() in path.name
        acts = [json.loads(each.envelope) for each in read_all(directory)]
        assert [(each["event.action"], each["event.type"]) for each in acts] == [
            ("evidence.key", "start"), ("evidence.key", "end")]
        assert acts[0]["outbounds.scope"] == "replace the signing key"
    finally:
        collector.process.terminate()
        collector.end()
    result = run("verify", "--config", config, "--key", keys[0].verifier)
    assert result.exit_code == 0, result.output
    # none runs now: the command starts one for as long as it takes
    assert run("keys", "replace", "--config", config).exit_code == 0
    assert len(read_keys(directory / "log" / "keys")) == 3
