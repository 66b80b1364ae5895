"""The real reppy as the engine, and what is known to end it: none of it reaches the proxy."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from outbounds.core.robots import Match, Robots
from outbounds.robotstxt import reppy_process, reppy_worker
from outbounds.robotstxt.engine import BuiltInEngine
from outbounds.robotstxt.reppy_engine import ReppyEngine, name_of, urls_of
from outbounds.robotstxt.reppy_process import CannotRead, ReppyProcess, WorkerDied, unusable
from outbounds.robotstxt.reppy_workers import ReppyWorkers

from .asking_reppy import RULES, needs_reppy, question

WORKER = str(Path(reppy_worker.__file__))


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[ReppyEngine]:
    made = ReppyEngine(workers=ReppyWorkers(deadline=1.0), deadline=20.0)
    yield made
    await made.aclose()


BROWSER = "Mozilla/5.0 (compatible; FooBot/1.2; +https://foo.example/bot)"
NAMED = b"User-agent: *\nDisallow: /\n\nUser-agent: foobot\nDisallow: /foo\n"

ALIKE = [
    # (file, path, agent): both engines say the same, and of the same line
    (RULES, "/private/x", "FooBot"),
    (RULES, "/open", "FooBot"),
    (RULES, "/open/../private", "FooBot"),
    (RULES, "/%70rivate", "FooBot"),
    (RULES, "//foo:bar/", "FooBot"),
    (RULES, "/private?a:b@c", ""),
    (NAMED, "/foo", BROWSER),
    (NAMED, "/bar", BROWSER),
    (NAMED, "/bar", "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"),
    (b"User-agent: *\nDisallow: /a\nAllow: /a/b\n", "/a/b/c", "FooBot"),
    (b"User-agent: *\nDisallow: /*.php$\n", "/x.php", "FooBot"),
    (b"User-agent: *\nDisallow: /*.php$\n", "/x.php5", "FooBot"),
    (b"", "/", "FooBot"),
]


@needs_reppy
@pytest.mark.parametrize(("body", "path", "agent"), ALIKE,
                         ids=[f"{number}-{path}" for number, (_, path, _) in enumerate(ALIKE)])
async def test_it_judges_as_we_do(engine: ReppyEngine, body: bytes, path: str, agent: str) -> None:
    asked = question(path, agent, body=body)
    assert await engine.judge(asked) == BuiltInEngine().judge_now(asked)


@needs_reppy
async def test_where_it_judges_otherwise_no_line_is_named(engine: ReppyEngine) -> None:
    asked = question("/x", body=b"User-agent: *\rDisallow: /x\r")
    assert BuiltInEngine().judge_now(asked) == (Match(False, 2),)
    assert await engine.judge(asked) == (Match(True, 0),)


@needs_reppy
async def test_what_aborts_reppy_is_not_asked_and_would_end_one_process_only() -> None:
    process = ReppyProcess()
    await process.start()
    asked = question("/")
    with pytest.raises(WorkerDied):  # as a path alone, it is taken for a host and a port
        await process.ask(asked.answer.digest, RULES, ("foobot",), (b"//foo:bar/",))
    assert process.dead
    assert await process.ended() == -signal.SIGABRT
    assert all(url.startswith(b"http://site.invalid/") for url in urls_of("//foo:bar/"))


@needs_reppy
async def test_an_endless_pattern(engine: ReppyEngine) -> None:
    body = b"User-agent: *\nDisallow: /*a*a*a*b\n"
    with pytest.raises(WorkerDied, match="in time"):
        await engine.judge(question("/" + "a" * 400, body=body))
    assert await engine.judge(question("/open")) == (Match(True, 0),)
    assert await engine.judge(question("/b", body=body)) == (Match(True, 0),)


@needs_reppy
async def test_a_hundred_thousand_rules(engine: ReppyEngine) -> None:
    lines = ["User-agent: *", *(f"Disallow: /{number:06}" for number in range(100_000))]
    body = "\n".join(lines).encode()
    (refused,) = await engine.judge(question("/099999/x", body=body))
    (allowed,) = await engine.judge(question("/100000", body=body))
    assert (refused.allowed, allowed) == (False, Match(True, 0))


@needs_reppy
async def test_a_file_that_it_cannot_read_refuses(engine: ReppyEngine) -> None:
    body = b"User-agent: *\nDisallow: //foo:bar/\n"
    for path in ("/", "/x"):
        with pytest.raises(CannotRead, match="ValueError: Port not a number"):
            await engine.judge(question(path, body=body))
    assert engine.workers.restarts == 0


@pytest.mark.parametrize(("agent", "name"), [
    (BROWSER, "foobot"),
    ("FooBot", "foobot"),
    ("OtherBot/2.0 FooBot/1.0", "foobot"),  # the one that the file names
    ("BarBot/2.0 (like Gecko)", "barbot"),  # the file names none: the first
    ("", "*"),
    ("*", "*"),
])
def test_the_name_that_it_is_given(agent: str, name: str) -> None:
    assert name_of(Robots.parse(NAMED), agent) == name


@pytest.mark.parametrize(("path", "urls"), [
    ("/a?b", ["/a?b"]),
    ("/a/../b", ["/a/../b", "/b"]),
    ("/%7Ea", ["/%7Ea", "/~a"]),
    ("/é", ["/é", "/%C3%A9"]),
    ("/\udcff", [b"/\xff", "/%FF"]),  # an octet that is no UTF-8
])
def test_the_urls_that_it_is_asked_about(path: str, urls: list[str | bytes]) -> None:
    assert urls_of(path) == tuple(
        reppy_worker.SITE + (url.encode() if isinstance(url, str) else url) for url in urls)


@needs_reppy
def test_it_is_usable() -> None:
    assert unusable() == ""


def test_why_it_is_not_usable() -> None:
    missing = (f"import sys, runpy; sys.modules['reppy.robots'] = None; "
               f"runpy.run_path({WORKER!r}, run_name='__main__')")
    assert re.match("(ModuleNotFound|Import)Error: .*reppy",
                    unusable((sys.executable, "-c", missing)))


@needs_reppy
async def test_its_process_is_bounded() -> None:
    process = ReppyProcess()
    await process.start()
    found = Path(f"/proc/{process.pid}")
    limits = (found / "limits").read_text()
    assert re.search(r"Max core file size +0 ", limits)
    assert re.search(r"Max file size +0 ", limits)
    assert re.search(rf"Max address space +{reppy_worker.MEMORY} ", limits)
    names = {entry.partition(b"=")[0].decode()
             for entry in (found / "environ").read_bytes().split(b"\0") if entry}
    assert names <= set(reppy_process._INHERITED) | {"LC_CTYPE"}
    assert not any("outbounds" in path for path in (found / "maps").read_text().split())
    process.kill()
    await process.ended()


def test_the_proxy_loads_nothing_of_it() -> None:
    code = ("import sys; from outbounds.proxy import robots_engine; "
            "sys.exit(any(name.split('.')[0] == 'reppy' for name in sys.modules))")
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(root / "addons")},
                          check=False).returncode == 0
