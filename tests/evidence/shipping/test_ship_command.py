"""`outbounds evidence witness` and `outbounds evidence ship`, and the keeper that does both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bucket import ACCESS, SECRET, Bucket
from click.testing import CliRunner, Result
from written import Written

from outbounds.cli import main
from outbounds.evidence.archive.index import build_index
from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.seal import load_seal, save_seal
from outbounds.evidence.keeper.kept import load_kept
from outbounds.evidence.search import Query, search
from outbounds.evidence.shipping.reach import reachable, remote_log
from outbounds.settings.evidence_file import load_evidence

ADDONS = str(Path(__file__).resolve().parents[3] / "addons")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A starter configuration, with a log of two sealed segments and a hot one."""
    folder = tmp_path / "config"
    assert outbounds("init", str(folder)).exit_code == 0
    written = Written(folder / "var" / "evidence")
    for count in (300, 200, 50):
        written.run(count)
    written.seal()
    for segment in all_segments(written.directory)[:-1]:
        seal = load_seal(segment.seal)
        save_seal(segment.seal, msgspec.structs.replace(seal, index=build_index(segment, seal)))
    return folder


def configure(config: Path, text: str) -> None:
    with (config / "evidence.yaml").open("a") as file:
        file.write(text)


def configure_both(config: Path, bucket: Bucket) -> None:
    configure(config, f"""
witnesses: [{{name: other-disk, file: {config.parent}/seen}}]
store:
  endpoint: {bucket.endpoint}
  bucket: {bucket.name}
  credentials: {bucket.credentials}
  lock: 365day
  keep_local: 30day
""")


def outbounds(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def evidence(config: Path, *words: str) -> Result:
    return outbounds("evidence", *words, "--config", str(config))


def test_where_neither_is_configured_it_says_where(config: Path) -> None:
    for command, key in (("witness", "witnesses"), ("ship", "store")):
        done = evidence(config, command)
        assert done.exit_code == 0
        assert f"is configured: `{key}` in {config / 'evidence.yaml'}" in done.output
    done = evidence(config.parent, "ship")
    assert done.exit_code == 1 and "outbounds.yaml" in done.output


def test_witnesses(config: Path) -> None:
    configure(config, f"""
witnesses:
  - {{name: other-disk, file: {config.parent}/seen}}
  - {{name: gone-disk, file: {config.parent}/gone/seen}}
""")
    done = evidence(config, "witness")
    assert done.exit_code == 0 and "the keeper has not done this yet; --now does it" in done.output
    done = evidence(config, "witness", "--now")
    assert done.exit_code == 1
    first, second = done.output.splitlines()[1:3]
    assert first.split()[:3] == ["other-disk", "file", "550"] and " good " in first
    assert second.split()[:4] == ["gone-disk", "file", "-", "never"]
    assert f"fault: witness gone-disk: {config.parent / 'gone'} is not there; is it mounted?" \
        in done.output
    # what was kept is checked each time it is shown
    (path,) = (config / "var" / "evidence" / "log" / "witness" / "other-disk").iterdir()
    path.write_text(path.read_text().replace("\n550\n", "\n551\n"))
    path.rename(path.with_name(path.name.replace("-550", "-551")))
    done = evidence(config, "witness")
    assert done.exit_code == 1 and "DOES NOT HOLD" in done.output
    assert "the signature of outbounds/" in done.output
    found = json.loads(evidence(config, "witness", "--json").output)
    assert [each["good"] for each in found["witnesses"]] == [False, True]
    assert "gone-disk" in found["last"]["fault"]


def test_shipping(config: Path, bucket: Bucket) -> None:
    configure_both(config, bucket)
    done = evidence(config, "ship")
    assert done.exit_code == 0 and "0 of 2 sealed ones are there" in done.output
    assert bucket.names() == []
    done = evidence(config, "ship", "--now")
    assert done.exit_code == 0 and "2 of 2 sealed ones are there, read back" in done.output
    assert "365 days, compliance" in done.output
    found = json.loads(evidence(config, "ship", "--json").output)
    assert (found["sealed"], found["shipped"], found["away"], found["tiles"]) == (2, 2, 0, 500)
    bucket.credentials.chmod(0o644)
    (config / "var" / "evidence" / "shipped.json").unlink()
    done = evidence(config, "ship", "--now")
    assert done.exit_code == 1 and "others may read it (mode 0644)" in done.output
    assert ACCESS not in done.output and SECRET not in done.output


def test_the_keeper_does_both(config: Path, bucket: Bucket) -> None:
    configure_both(config, bucket)
    directory = config / "var" / "evidence"
    done = subprocess.run(
        [sys.executable, "-m", "outbounds.evidence.keeper", "--dir", str(directory), "--config",
         str(config)], env={**os.environ, "PYTHONPATH": ADDONS}, capture_output=True, text=True,
        timeout=60)
    assert done.returncode == 0, done.stderr
    kept = load_kept(directory)
    assert kept["witness"]["ok"] and float(kept["witness"]["stamped.other-disk"]) > 0
    assert kept["ship"]["ok"] and (kept["ship"]["shipped"], kept["ship"]["backlog"]) == (2, 0)
    secrets = SECRET.encode(), ACCESS.encode()
    assert not any(secret in path.read_bytes() for path in directory.rglob("*") if path.is_file()
                   for secret in secrets)
    assert SECRET not in done.stdout + done.stderr


def test_a_search_finds_what_left_and_what_never_was_here(
        config: Path, bucket: Bucket, tmp_path: Path) -> None:
    configure_both(config, bucket)
    directory = config / "var" / "evidence"
    query = Query(account="account-7")
    found = list(search(directory, query))
    assert len(found) > 2
    assert evidence(config, "ship", "--now").exit_code == 0
    for path in directory.glob("segments/*.zst"):
        path.unlink()
    store = load_evidence(config)[1].store
    assert store is not None
    with reachable(store):
        assert list(search(directory, query)) == found
    with remote_log(store, cache=tmp_path / "cache") as elsewhere:
        assert list(search(elsewhere, query)) == [
            each for each in found if max(each.positions) < 500]
