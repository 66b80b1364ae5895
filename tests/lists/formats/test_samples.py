"""A sample of each published format: detected, read, and every line of it accounted for."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from sample_entries import EXPECTED, shown

from outbounds.lists.formats.table import FORMATS
from outbounds.lists.reading import BadList, ListReader

SAMPLES = Path(__file__).parents[1] / "samples"
MOST = 1 << 20


@pytest.mark.parametrize("sample", EXPECTED)
@pytest.mark.parametrize("named", [True, False])
def test_a_sample_gives_its_entries_and_counts_named_or_detected(sample: str, named: bool) -> None:
    expected = EXPECTED[sample]
    reader = ListReader(SAMPLES / sample, sample, expected.format if named else "auto",
                        max_octets=MOST)
    assert [shown(entry) for entry in reader] == list(expected.entries)
    report = reader.report
    assert report.format == expected.format
    assert (report.comments, report.kept, report.unsupported, report.rejected) == expected.counts
    assert sum(expected.counts) == report.lines
    assert report.lines == len((SAMPLES / sample).read_text("utf-8").splitlines())
    assert report.entries == len(expected.entries)
    assert set(report.reasons) == set(expected.reasons)


def test_every_format_has_a_sample_and_a_row_in_the_readme() -> None:
    assert {each.format for each in EXPECTED.values()} | {"ut1"} == set(FORMATS)
    import outbounds.lists.formats as package
    readme = (Path(package.__file__).parent / "README.md").read_text("utf-8")
    assert {line.split("`")[1] for line in readme.splitlines() if line.startswith("| `")} == \
        set(FORMATS)


@pytest.mark.parametrize("sample", EXPECTED)
def test_line_ends_of_windows_and_a_byte_order_mark_make_no_difference(
        sample: str, tmp_path: Path) -> None:
    path = tmp_path / sample
    octets = (SAMPLES / sample).read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + octets)
    reader = ListReader(path, sample, max_octets=MOST)
    assert [shown(entry) for entry in reader] == list(EXPECTED[sample].entries)


@pytest.mark.parametrize("pack", ["gzip", "bzip2", "zip"])
def test_a_packed_list_is_unpacked(pack: str, tmp_path: Path) -> None:
    import bz2
    path, octets = tmp_path / "packed", (SAMPLES / "hosts.txt").read_bytes()
    if pack == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("lists")
            archive.writestr("lists/hosts", octets)
    else:
        path.write_bytes(gzip.compress(octets) if pack == "gzip" else bz2.compress(octets))
    reader = ListReader(path, "hosts.gz", max_octets=MOST)
    assert [shown(entry) for entry in reader] == list(EXPECTED["hosts.txt"].entries)


def _ut1(tmp_path: Path) -> bytes:
    """blacklists.tar.gz, with what an attacker or a mistake may put into one."""
    tree = tmp_path / "blacklists"
    shutil.copytree(SAMPLES / "ut1", tree)
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for path in sorted(tree.rglob("*")):
            archive.add(path, path.relative_to(tmp_path), recursive=False)
        for name in ("/etc/adult/domains", "../../adult/domains", "a/../adult/domains"):
            hostile = tarfile.TarInfo(name)
            hostile.size = 13
            archive.addfile(hostile, io.BytesIO(b"hostile.test\n"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            link = tarfile.TarInfo("blacklists/link/domains")
            link.type, link.linkname = kind, "../adult/domains"
            archive.addfile(link)
    return held.getvalue()


@pytest.mark.parametrize("named", ["ut1", "auto"])
def test_ut1_labels_entries_with_their_category_and_ignores_what_leads_out(
        named: str, tmp_path: Path) -> None:
    path = tmp_path / "blacklists.tar.gz"
    path.write_bytes(_ut1(tmp_path))
    reader = ListReader(path, "ut1", named, max_octets=MOST)
    assert [shown(entry) for entry in reader] == [
        "1 domain bad.example adult", "2 domain www.worse.example adult",
        "3 network 192.0.2.66/32 adult", "5 url ://shared.example/~mallory adult",
        "7 domain evil.example malware"]
    report = reader.report
    assert (report.lines, report.kept, report.unsupported, report.rejected) == (7, 5, 2, 0)


@pytest.mark.parametrize("cut", [200, 300, -1, -6, -12])
def test_a_tarball_cut_anywhere_is_an_error(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "blacklists.tar.gz"
    path.write_bytes(_ut1(tmp_path)[:cut])
    with pytest.raises(BadList, match="download was cut"):
        list(ListReader(path, "ut1", "ut1", max_octets=MOST))
