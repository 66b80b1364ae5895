"""Real crawlers that mind no robots.txt, on a real site: here they mind it.

A site of 64 open pages, and closed ones that are linked in every spelling that a link may have.
What each crawler fetched is read off the origin; what it should have, off a few lines of Python
that know nothing of patterns.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from aiohttp import web

from .harness import PASSWORD, add_account, lift_limits
from .stage import Stage, staged

ROBOTS = """\
User-agent: *
Disallow: /

# names are merged, and a group ends nowhere but at the next user-agent line
User-agent: examplebot
User-agent: wget
User-agent: curl
Disallow: /private
Allow: /private/open

Disallow: /caf%c3%a9
Disallow: /*.pdf$
Disallow: /exact$
Disallow: /*?*session=
Disallow: //double

User-agent: headlesschrome
Disallow: /private
"""
CLOSED = (
    "/private/a", "/%70rivate/b", "/page/../private/c", "/page/%2e%2e/private/d", "/private//e",
    "/private;v=1", "/private?q=/private/open", "/./private/f", "/private/openx/../g",
    "/caf%C3%A9/a", "/caf%c3%a9/b", "/café/c", "/docs/x.pdf", "/docs/y%2Epdf", "/docs/%7e.pdf",
    "/exact", "/%65xact", "/find?session=1", "/find?a=1&session=2", "//double/x",
)
OPEN = (
    "/private/open/a", "/docs/x.pdf.html", "/docs/x.pdf?page=2", "/exact/", "/exact?x=1",
    "/PRIVATE", "/find?a=1", "/cafe/", "/double/x",
)
PAGES = 64
HOST, BROWSED = "crawled.site.test", "browsed.site.test"


def closed(target: str) -> bool:
    """Whether this page may not be fetched."""
    path, _, query = target.partition("?")
    path = unquote(path)
    return ((path.startswith("/private") and not path.startswith("/private/open"))
            or path.startswith(("/café", "//double")) or (path.endswith(".pdf") and not query)
            or (path == "/exact" and not query) or "session=" in query)


async def page(request: web.Request) -> web.StreamResponse:
    """Page N leads to 2N+1 and 2N+2, to a closed page and to another open one."""
    name = request.path.rpartition("/")[2]
    number = int(name) if request.path.startswith("/page/") and name.isdigit() else None
    if request.path == "/":
        number = 0
    links = []
    if number is not None:
        links = [f"/page/{each}" for each in (2 * number + 1, 2 * number + 2) if each < PAGES]
        links += [CLOSED[number % len(CLOSED)], OPEN[number % len(OPEN)]]
    # a link that begins with two slashes would name a host
    text = "".join(f'<a href="{request.url.origin()}{link}">x</a>\n' for link in links)
    return web.Response(text=f"<!doctype html><meta charset=utf-8>{text}", content_type="text/html")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    def prepare(config: Path, ports: list[int]) -> None:
        lift_limits(config)
        # a browser is told its proxy, but not by whom it is used
        add_account(config, "desk", PASSWORD, networks=["127.0.0.1/32"])

    with staged(tmp_path_factory.mktemp("crawl"), prepare=prepare,
                hosts=[HOST, BROWSED]) as stage:
        stage.plain.handler = stage.tls.handler = page
        stage.plain.robots = stage.tls.robots = ROBOTS
        yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.clear()
    return running


def fetched(stage: Stage, kind: str = "plain") -> list[str]:
    """What reached the site: nothing that may not, and every page that leads on."""
    got: list[str] = getattr(stage, kind).paths()
    assert [target for target in got if closed(target)] == []
    pages = {target for target in got if target.startswith("/page/")}
    assert pages >= {f"/page/{number}" for number in range(1, PAGES)}
    assert [seen.path for seen in getattr(stage, kind).seen].count("/robots.txt") <= 1
    return got


def test_the_site_has_closed_pages_in_many_spellings() -> None:
    assert all(map(closed, (target.replace("/page/..", "").replace("/page/%2e%2e", "")
                            .replace("/./", "/").replace("/openx/..", "") for target in CLOSED)))
    assert not any(map(closed, OPEN))


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_scrapy(stage: Stage, kind: str) -> None:
    """ROBOTSTXT_OBEY = False: it follows every link, and it comes to an end."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("crawl.py")),
         stage.url("/", HOST, kind), stage.proxy.url_for()],
        capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ended"] == "finished"
    got = fetched(stage, kind)
    assert {target.partition("?")[0] for target in OPEN} - {unquote(each) for each in found[
        "seen"]} == set()
    assert any(target.startswith("/private/open") for target in got)
    refused = [path for path, status in found["seen"].items() if status == 403]
    assert len(refused) >= 10 and set(found["seen"].values()) == {200, 403}


@pytest.mark.skipif(not shutil.which("wget"), reason="wget is not installed")
def test_wget(stage: Stage, tmp_path: Path) -> None:
    done = subprocess.run(
        ["wget", "--recursive", "--level=inf", "-e", "robots=off", "--no-config", "--tries=1",
         "--timeout=10", "--no-verbose", "--delete-after", "-P", str(tmp_path),
         "-e", "use_proxy=yes", "-e", f"http_proxy={stage.proxy.url}", "--proxy-user=alice",
         f"--proxy-password={PASSWORD}", stage.url("/", HOST)],
        capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 8, done.stderr  # "server issued an error response": the refusals
    assert any(target.startswith("/private/open") for target in fetched(stage))
    assert done.stderr.count("ERROR 403") >= 10


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl(stage: Stage) -> None:
    """Every spelling as it is, in one go over one connection."""
    done = subprocess.run(
        ["curl", "--silent", "--disable", "--path-as-is", "--proxy", stage.proxy.url_for(),
         "--write-out", "%{stderr}%{http_code}\n",
         *(stage.url(target, HOST) for target in (*CLOSED, *OPEN))],
        capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    # raw non-ASCII is no URI, and refused as such
    status = [400 if not target.isascii() else 403 for target in CLOSED] + [200] * len(OPEN)
    assert [int(code) for code in done.stderr.split()] == status
    assert stage.plain.paths() == list(OPEN)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which(
    "google-chrome")


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_a_browser_loads_a_page_without_its_closed_parts(stage: Stage, tmp_path: Path) -> None:
    """What a page pulls in is asked for like any other request."""
    async def load(request: web.Request) -> web.StreamResponse:
        kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
        kind = kinds.get(request.path.rpartition(".")[2])
        if kind is not None:
            return web.Response(text="", content_type=kind)
        parts = "".join(
            f'<link rel=stylesheet href="{folder}a.css"><script src="{folder}b.js"></script>'
            f'<img src="{folder}c.svg"><iframe src="{folder}d"></iframe>'
            for folder in ("/public/", "/private/", "/%70rivate/1/"))
        text = parts if request.path == "/" else "a frame"
        return web.Response(text=f"<!doctype html><title>page</title>{text}",
                            content_type="text/html")

    assert CHROMIUM is not None
    stage.plain.handler = load
    try:
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", "--disable-default-apps",
             f"--user-data-dir={tmp_path}", f"--proxy-server={stage.proxy.url}", "--dump-dom",
             stage.url("/", BROWSED)],
            capture_output=True, text=True, timeout=60, check=False)
    finally:
        stage.plain.handler = page
    assert "<title>page</title>" in done.stdout, done.stderr
    got = set(stage.plain.paths()) - {"/favicon.ico"}
    assert got == {"/", "/public/a.css", "/public/b.js", "/public/c.svg", "/public/d"}
    refused = {start["url.path"] for start, _ in stage.proxy.pairs(
        destination_domain=BROWSED, rule_ruleset="robots")}
    assert refused == {f"/{folder}/{name}" for folder in ("private", "%70rivate/1")
                       for name in ("a.css", "b.js", "c.svg", "d")}
