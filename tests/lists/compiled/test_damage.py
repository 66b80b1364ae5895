"""Damaged files are found before they are used, and nothing that is in use is ever changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbounds.core.destination import parse_host
from outbounds.core.hit import Terms
from outbounds.core.list_entry import Entry, Kind, parse_value
from outbounds.lists.compiled import (
    BadGeneration,
    CompileError,
    Generation,
    compile_lists,
    generation,
    manifest,
    origins,
    verify,
    write_part,
)
from outbounds.lists.compiled.part import BadPart, Part

LINES = [
    (Kind.DOMAIN, "a.example"), (Kind.BELOW, "a.example"), (Kind.NETWORK, "192.0.2.0/24"),
    (Kind.NETWORK, "192.0.2.1"), (Kind.NETWORK, "2001:db8::/32"), (Kind.NETWORK, "2001:db8::1"),
    (Kind.URL, "u.example/x"), (Kind.PATTERN, "ads[0-9]"), (Kind.PORT, "25"),
    (Kind.SCHEME, "http")]
FILES = (*generation.FILES, "manifest.json", "manifest.json.sha256")


def entries(count: int = len(LINES)) -> list[Entry]:
    return [Entry(kind, parse_value(kind, text), number)
            for number, (kind, text) in enumerate(LINES[:count], 1)]


def made(folder: Path) -> Path:
    write_part(folder / "t.part", entries())
    return compile_lists({"t": folder / "t.part"}, folder / "generations")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_missing(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path)
    (folder / name).unlink()
    for use in (lambda: Generation.open(folder, {}), lambda: verify(folder)):
        with pytest.raises(BadGeneration, match=f"{name}: .*compile again: outbounds lists build"):
            use()


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_cut_off(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path)
    octets = (folder / name).read_bytes()
    (folder / name).write_bytes(octets[:-1] if octets else b"x")
    with pytest.raises(BadGeneration):
        Generation.open(folder, {})
    with pytest.raises(BadGeneration):
        verify(folder)


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_by_verify(whole: Path, name: str, place: float, bit: int) -> None:
    path = whole / name
    octets = path.read_bytes()
    if not octets:
        return
    changed = bytearray(octets)
    changed[int(place * len(octets))] ^= 1 << bit
    path.write_bytes(changed)
    try:
        with pytest.raises(BadGeneration):
            verify(whole)
    finally:
        path.write_bytes(octets)


def rewritten(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "manifest.json").read_text()) | changes
    octets = json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(octets)
    (folder / "manifest.json.sha256").write_text(manifest._sums(octets))


FOREIGN = [
    ({"format": 99, "more": "of a later release"}, "its format is 99, and this program reads "),
    ({"byteorder": "middle"}, "middle-endian"),
    ({"version": "0" * 64}, "not the name of its folder"),
    ({"lists": "none"}, "it is no manifest"),
    ({"files": {}}, "the manifest does not name it"),
]


@pytest.mark.parametrize(("changes", "problem"), FOREIGN)
def test_a_manifest_of_something_else(tmp_path: Path, changes: dict[str, object],
                                      problem: str) -> None:
    folder = made(tmp_path)
    rewritten(folder, **changes)
    with pytest.raises(BadGeneration, match=problem):
        Generation.open(folder, {})


@pytest.mark.parametrize("name", ["patterns.hyperscan", "names.table", "urls.trie"])
def test_a_file_in_another_format(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path)
    octets = b"x" * (folder / name).stat().st_size
    (folder / name).write_bytes(octets)
    with pytest.raises(BadGeneration, match="compile again"):
        Generation.open(folder, {})


def test_patterns_of_another_processor(tmp_path: Path) -> None:
    folder = made(tmp_path)
    octets = bytearray((folder / "patterns.hyperscan").read_bytes())
    octets[4] ^= 0xFF  # of the version, which follows the magic number
    (folder / "patterns.hyperscan").write_bytes(octets)
    with pytest.raises(BadGeneration, match="its patterns were compiled for Version"):
        Generation.open(folder, {})


def test_a_damaged_generation_is_replaced_and_a_whole_one_is_left_alone(tmp_path: Path) -> None:
    folder = made(tmp_path)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert made(tmp_path) == folder
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before
    opened = Generation.open(folder, {"t": Terms("t")})
    (folder / "names.table").write_bytes(b"\xff" * (folder / "names.table").stat().st_size)
    assert made(tmp_path) == folder
    verify(folder)
    assert (folder / "names.table").stat().st_ino != before["names.table"]
    assert opened.match(parse_host("192.0.2.1"), 80, "http", "/")  # reads what it had opened
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_same_content_has_the_same_version(tmp_path: Path) -> None:
    parts = {}
    for name in ("one", "two"):
        parts[name] = tmp_path / f"{name}.part"
        write_part(parts[name], entries())
    versions = {
        compile_lists(parts, tmp_path / "a").name,
        compile_lists(dict(reversed(parts.items())), tmp_path / "b").name}
    assert len(versions) == 1
    write_part(parts["two"], entries(3))
    assert compile_lists(parts, tmp_path / "a").name not in versions
    assert compile_lists({"one": parts["one"]}, tmp_path / "a").name not in versions


def test_a_part_is_replaced_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "t.part"
    write_part(path, entries())
    before = path.read_bytes()

    def failing() -> object:
        yield from entries(2)
        raise ValueError("line 3 is bad")

    with pytest.raises(ValueError, match="line 3"):
        write_part(path, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_part_that_was_cut_off(tmp_path: Path, share: float) -> None:
    path = tmp_path / "t.part"
    write_part(path, entries())
    octets = path.read_bytes()
    path.write_bytes(octets[:int(share * len(octets))])
    with pytest.raises(BadPart):
        Part(path)
    with pytest.raises(CompileError) as error:
        compile_lists({"t": path}, tmp_path / "generations")
    assert error.value.list_id == "t"


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_part(tmp_path: Path, place: float, bit: int) -> None:
    path = tmp_path / "t.part"
    write_part(path, entries())
    octets = bytearray(path.read_bytes())
    octets[int(place * len(octets))] ^= 1 << bit
    path.write_bytes(octets)
    with pytest.raises(BadPart):
        Part(path)


def test_a_list_whose_entries_have_too_little_in_common(tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "MAX_ORIGINS", 20)
    for name, count in (("few", 20), ("many", 21)):
        write_part(tmp_path / name, (
            Entry(Kind.HOST, "a.example", number, labels=(f"label-{number}",))
            for number in range(1, count + 1)))
    with pytest.raises(CompileError, match=r"^many: its entries have more than 20 different sets"):
        compile_lists({"few": tmp_path / "few", "many": tmp_path / "many"}, tmp_path / "new")
    assert compile_lists({"few": tmp_path / "few"}, tmp_path / "new").is_dir()


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    said: dict[str, tuple[int, int]] = {}
    write_part(tmp_path / "t.part", entries())
    compile_lists({"t": tmp_path / "t.part"}, tmp_path / "generations",
                  lambda what, done, of: said.update({what: (done, of)}))
    assert said["hashing names"] == said["sorting names"] == (2, 2)
    assert said["networks"] == (4, 4)
    assert said["URLs"] == said["patterns"] == (1, 1)


def test_a_part_of_many_blocks_comes_back(tmp_path: Path) -> None:
    count = 70_000
    path = tmp_path / "t.part"
    assert write_part(path, (Entry(Kind.HOST, f"h{number}.example", number + 1)
                             for number in range(count))) == count
    part = Part(path)
    assert part.kinds == {Kind.HOST: count}
    found = [(line, value) for _, lines, values in part.read(Kind.HOST)
             for line, value in zip(lines, values, strict=True)]
    assert len(found) == count
    assert found[-1] == (count, f"h{count - 1}.example".encode())
    assert list(part.read(Kind.DOMAIN)) == []
