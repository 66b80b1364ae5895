"""A change that a load would see, and only such a change, changes the fingerprint."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from config_folder import Folder

from outbounds.settings import SettingsError, fingerprint


def _replace(path: Path) -> None:
    """As editors save: another file of the same size and time under the old name."""
    before = path.stat()
    draft = path.with_name(".draft")
    draft.write_bytes(path.read_bytes())
    os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
    draft.replace(path)


def _touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


CHANGES: list[tuple[str, Callable[[Path], object]]] = [
    ("limits.yaml", _touch),
    ("limits.yaml", _replace),
    ("limits.yaml", Path.unlink),
    ("aup/one.yaml", _touch),
    ("aup/three.yaml", lambda path: path.write_text("x")),
    ("new.yaml", lambda path: path.write_text("x")),
    ("lists/blocked.txt", _touch),
    ("../afar.txt", _touch),
    ("customers", _touch),
]


@pytest.mark.parametrize("name, change", CHANGES)
def test_it_sees(folder: Folder, name: str, change: Callable[[Path], object]) -> None:
    folder.write("../afar.txt", "# a list outside the folder\n")
    folder.change("destinations.yaml", "lists/blocked.txt", "../afar.txt")
    folder.write("customers", "")
    folder.change("identity.yaml", "cache: 5min",
                  "cache: 5min\nhtpasswd: [{file: customers, plan: default}]")
    settings = folder.load()
    before = fingerprint(folder.path, settings.files)
    assert fingerprint(folder.path, settings.files) == before
    assert hash(before) == hash(fingerprint(folder.path, settings.files))
    change(folder.path / name)
    assert fingerprint(folder.path, settings.files) != before


def test_run_data_and_editors_drafts_are_not_seen(folder: Folder) -> None:
    files = folder.load().files
    before = fingerprint(folder.path, files)
    folder.write("var/evidence/records.jsonl", "x")
    folder.write(".limits.yaml.swp", "x")
    folder.write("aup/.#one.yaml", "x")
    assert fingerprint(folder.path, files) == before


def test_after_a_failed_load_the_missing_file_is_waited_for(folder: Folder) -> None:
    folder.change("destinations.yaml", "lists/blocked.txt", "later/list.txt")
    with pytest.raises(SettingsError) as caught:
        folder.load()
    before = fingerprint(folder.path, caught.value.files)
    folder.write("later/list.txt", "# nothing yet\n")
    assert fingerprint(folder.path, caught.value.files) != before
