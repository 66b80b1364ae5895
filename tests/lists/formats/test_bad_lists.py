"""Lists that must not be used, each with the message that says why."""

from __future__ import annotations

import bz2
import gzip
import io
import resource
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from list_text import read
from sample_entries import EXPECTED

from outbounds.lists.reading import MAX_REJECTED, BadList, ListReader

SAMPLES = Path(__file__).parents[1] / "samples"


def _message(folder: Path, format: str, content: str | bytes, most: int = 1 << 24) -> str:
    with pytest.raises(BadList) as caught:
        read(folder, format, content, most)
    return str(caught.value)


@pytest.mark.parametrize(("format", "line", "why"), [
    ("domains", "com", "every name under com, a public suffix"),
    ("domains", "CO.UK.", "every name under co.uk, a public suffix"),
    ("domains", "xn--p1ai", "every name under xn--p1ai, a public suffix"),
    ("domains", "рф", "every name under xn--p1ai, a public suffix"),
    ("wildcard", "*.com", "every name under com"),
    ("dstdomain", ".org", "every name under org"),
    ("adblock", "||net^", "every name under net"),
    ("adblock", "@@||com^", "every name under com"),
    ("adblock", "||co.uk/", "every name under co.uk"),
    ("adblock", "*", "every destination"),
    ("adblock", "|https://", "every destination"),
    ("adblock", "||*^", "every destination"),
    ("adblock", ".com/", "the front page of any site"),
    ("adblock", "/.*/", "the front page of any site"),
    ("adblock", "/^https?:/", "the front page of any site"),
    ("adblock", "http*www.*com*", "the front page of any site"),
    ("dnsmasq", "address=/com/", "every name under com"),
    ("dnsmasq", "address=/#/", "every destination"),
    ("rpz", "*.com CNAME .", "every name under com"),
    ("rpz", "* CNAME .", "every destination"),
    ("rpz", "0.0.0.0.0.rpz-ip CNAME .", "0.0.0.0/0 holds more than a /8"),
    ("rules", "domain co.uk", "every name under co.uk"),
    ("rules", "network 0.0.0.0/1", "0.0.0.0/1 holds more than a /8"),
    ("netset", "0.0.0.0/0", "0.0.0.0/0 holds more than a /8"),
    ("netset", "0.0.0.0/1", "0.0.0.0/1 holds more than a /8"),
    ("netset", "128.0.0.0/1", "128.0.0.0/1 holds more than a /8"),
    ("netset", "::/0", "::/0 holds more than a /12"),
    ("netset", "2000::/3", "2000::/3 holds more than a /12"),
    ("drop-text", "64.0.0.0/2 ; SBL1", "64.0.0.0/2 holds more than a /8"),
    ("drop-json", '{"cidr":"0.0.0.0/0"}', "0.0.0.0/0 holds more than a /8"),
    ("ranges", "0.0.0.0-255.255.255.255", "0.0.0.0/0 holds more than a /8"),
])
def test_one_poisoned_line_refuses_the_list(
        format: str, line: str, why: str, tmp_path: Path) -> None:
    good = next(text for text in (SAMPLES / next(
        name for name, each in EXPECTED.items() if each.format == format)).read_text().split("\n")
        if format == "rules" or text[:1] not in "#!;[$")
    message = _message(tmp_path, format, f"{good}\n{line}\n")
    assert message.startswith("x.txt:2: ") and why in message and "; " in message


@pytest.mark.parametrize("network", [
    "224.0.0.0/3", "240.0.0.0/4", "10.0.0.0/8", "0.0.0.0/8",  # firehol_level1, fullbogons-ipv4
    "::/8", "4000::/2", "8000::/1", "3000::/4", "2d00::/8", "2600::/12",  # fullbogons-ipv6
])
def test_lists_of_bogons_get_through(network: str, tmp_path: Path) -> None:
    assert [str(entry.value) for entry in read(tmp_path, "netset", network)[0]] == [network]


@pytest.mark.parametrize("line", ["localhost", "anything", "made-up.np"])
def test_what_only_may_be_a_registry_is_rejected_and_the_list_goes_on(
        line: str, tmp_path: Path) -> None:
    entries, report = read(tmp_path, "domains", f"bad.example\n{line}\n")
    assert [entry.value for entry in entries] == ["bad.example"] and report.rejected == 1


@pytest.mark.parametrize("fed_as", ["domains", "hosts", "wildcard", "dstdomain", "adblock",
                                    "dnsmasq", "rpz", "urls", "urlhaus-csv", "phishtank-csv",
                                    "drop-json", "netset", "ranges", "rules", "ut1"])
@pytest.mark.parametrize("sample", ["hosts.txt", "adblock.txt", "urls.txt", "urlhaus.csv",
                                    "phishtank.csv", "drop_v4.json", "dnsmasq.txt", "rules.txt"])
def test_a_list_of_one_format_fed_as_another_is_an_error_that_names_it(
        sample: str, fed_as: str, tmp_path: Path) -> None:
    if fed_as == EXPECTED[sample].format:
        return
    lines = [line for line in (SAMPLES / sample).read_text().splitlines() if line]
    message = _message(tmp_path, fed_as, "\n".join(lines * 20))
    if fed_as == "rules":  # names the errors of the lines themselves
        assert message.count("\n") >= 10 and "unknown kind of entry" in message
    else:
        assert f"it looks like {EXPECTED[sample].format}: write format:" in message


def test_plain_names_named_as_wildcards_would_lose_what_is_below_them(tmp_path: Path) -> None:
    assert _message(tmp_path, "wildcard", "a.example\nb.example\n") == (
        "x.txt: it is no list in the format wildcard; it looks like domains: write format: domains")


def test_a_few_rejected_lines_are_reported_and_many_refuse_the_list(tmp_path: Path) -> None:
    good = "".join(f"n{i}.example\n" for i in range(100))
    entries, report = read(tmp_path, "domains", good + "b d.example\n" * MAX_REJECTED)
    assert (len(entries), report.rejected) == (100, MAX_REJECTED)
    assert report.samples[0].line == 101 and report.samples[0].reason == "it contains a space"
    assert _message(tmp_path, "domains", good + "b d.example\n" * (MAX_REJECTED + 1)) == (
        'x.txt: 11 of 111 lines are not of the format domains: line 101: "b d.example": it '
        "contains a space; look at what it is, and name its format")


def test_nothing_that_can_be_honoured_is_an_error_and_comments_alone_are_not(
        tmp_path: Path) -> None:
    assert _message(tmp_path, "adblock", "a.example##.x\n") == (
        "x.txt: no line of it can be honoured, in the format adblock (a cosmetic rule, about parts "
        "of pages); look at what it is, and name its format")
    assert read(tmp_path, "domains", "# nothing today\n")[0] == []


@pytest.mark.parametrize(("content", "message"), [
    (b"", "x.txt: it is empty; if that is meant, say so in a comment (# …)"),
    (b"\xef\xbb\xbf\r\n \n", "x.txt: it is empty; if that is meant, say so in a comment (# …)"),
    (b"a.example\n\0\x01\x02", "x.txt:2: it contains a NUL, so it is binary and no list"),
    (b"a.example\nb\xff.example\n", "x.txt:2: the octet 0xff is not UTF-8; save the list as UTF-8"),
    ("a.example\n".encode("utf-16"), "x.txt: it is UTF-16; save it as UTF-8"),
    (b"<!DOCTYPE html>\n<html>", "x.txt: it is a web page or XML, and no list"),
    (b"a.example\n" * 200_000, "x.txt: it has more than 1000000 octets"),
    (gzip.compress(b"a.example\n" * 200_000, mtime=0),
     "x.txt: it unpacks to more than 1000000 octets"),
    (bz2.compress(b"a.example\n" * 200_000), "x.txt: it unpacks to more than 1000000 octets"),
    (gzip.compress(b"a.example\n" * 900, mtime=0)[:-4], "x.txt: it is no whole gzip file"),
    (gzip.compress(b"a.example\n" * 900, mtime=0)[:30], "x.txt: it is no whole gzip file"),
    (bz2.compress(b"a.example\n" * 900)[:40], "x.txt: it is no whole bzip2 file"),
    (b"\x1f\x8b" + b"nonsense" * 9, "x.txt: it is no whole gzip file"),
    (b"PK\x03\x04" + b"nonsense" * 9, "x.txt: it is no whole zip file"),
])
def test_a_file_that_is_no_list(content: bytes, message: str, tmp_path: Path) -> None:
    assert _message(tmp_path, "domains", content, 1_000_000).startswith(message)


def test_an_archive_must_hold_one_list(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a", "a.example\n")
        archive.writestr("b", "b.example\n")
    assert "a zip archive of 2 files" in _message(tmp_path, "domains", held.getvalue())
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("domains"))
    assert "only format: ut1 is read from one" in _message(tmp_path, "domains", held.getvalue())


def test_a_bomb_costs_its_bound_in_time_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    zeros = gzip.compress(b"\n" * (1 << 20), 9)
    path.write_bytes(zeros * 2000)  # 2 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with pytest.raises(BadList, match=r"it is empty"):
        list(ListReader(path, "bomb.gz", "domains", max_octets=1 << 24))
    path.write_bytes(gzip.compress(b"a.example\n") + zeros * 2000)
    with pytest.raises(BadList, match="more than 16777216 octets"):
        list(ListReader(path, "bomb.gz", "domains", max_octets=1 << 24))
    assert time.perf_counter() - began < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_line_of_a_hundred_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        file.write(b"a.example\n")
        file.seek(100 << 20)
        file.write(b"x")
    path_text = tmp_path / "x.txt"
    path_text.write_bytes(b"a.example\n" + b"x" * (3 << 20) + b"\nb.example\n")
    for each in (path, path_text):
        began = time.perf_counter()
        with pytest.raises(BadList, match=":2: "):
            list(ListReader(each, "x.txt", "domains", max_octets=1 << 30))
        assert time.perf_counter() - began < 1


def test_identical_lines_are_read_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "same.txt"
    path.write_bytes(b"same.example\n" * 1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader = ListReader(path, "same.txt", "domains", max_octets=1 << 30)
    last = None
    for entry in reader:
        last = entry
    assert last is not None and last.line == 1_000_000 and reader.report.kept == 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


@pytest.mark.parametrize(("format", "line"), [
    ("adblock", "$a=" * 20_000 + " x"), ("adblock", "||a.example/" + "a*" * 30_000),
    ("adblock", "||a.example/" + "a*" * 2_000), ("adblock", "a*" * 2_000 + "|"),
    ("adblock", "/" + "(a{1,500}){1,500}" * 9 + "/"), ("adblock", "/(a+)+(a+)+$/"),
    ("auto", "/$" * 30_000 + " x"), ("auto", ":" * 60_000), ("auto", "f-" * 30_000),
    ("rpz", "(" * 60_000), ("rpz", "a " * 30_000), ("drop-json", "[" * 60_000),
    ("urls", "http://" + "@" * 60_000), ("urls", "http://a.example/" + "%25" * 20_000),
    ("hosts", "0.0.0.0 " + "a.b " * 15_000), ("netset", "1" * 60_000), ("ranges", "-:" * 30_000),
    ("rules", "domain a.example " + "a=b " * 15_000), ("rules", " #" * 30_000),
    ("dnsmasq", "address=/" + "a.b/" * 15_000), ("urlhaus-csv", '"' * 60_000),
])
def test_a_long_line_made_to_be_slow_is_not(format: str, line: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    try:
        read(tmp_path, format, f"{line}\n")
    except BadList:
        pass
    assert time.perf_counter() - began < 2
