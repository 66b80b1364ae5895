"""Clients as they are, at the edge of a limit: those that mind Retry-After, and those that do not.

curl --retry, urllib3's Retry and undici's RetryAgent wait as they are told, and must get through
then; Scrapy and wget ignore Retry-After, and are served by pacing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web
from urllib3.util import Retry

from .harness import PLAIN_PASSWORD, add_account, edit_yaml
from .stage import Stage, staged

PLANS = {
    "refuses": {"unit": "requests", "per": "account", "rate": "1/s", "burst": 3,
                "over": "refuse"},
    "paces": {"unit": "requests", "per": "account+host", "rate": "10/s", "burst": 2,
              "over": "pace", "max_wait": "20s"},
}
PAGES = 12


def prepare(config: Path, ports: list[int]) -> None:
    edit_yaml(config / "limits.yaml", lambda data: data.update(limits=[
        {"id": plan, "clause": "S-fairshare", **limit} for plan, limit in PLANS.items()]))
    edit_yaml(config / "plans.yaml", lambda data: data.update(plans=[
        {"id": "default", "limits": []},
        *({"id": plan, "limits": [plan]} for plan in PLANS)]))


async def pages(request: web.Request) -> web.StreamResponse:
    links = "".join(f'<a href="/page/{n}">x</a>' for n in range(PAGES)) \
        if request.path == "/" else ""
    return web.Response(text=f"<p>{request.path}</p>{links}", content_type="text/html")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("waiting"), prepare=prepare) as stage:
        stage.plain.handler = pages
        yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.clear()
    return running


def proxy_url(stage: Stage, plan: str) -> str:
    """The proxy, for a new account on the plan."""
    name = f"{plan}-{time.monotonic_ns()}"
    add_account(stage.proxy.config, name, PLAIN_PASSWORD, plan=plan)
    return stage.proxy.url_for(name)


def run(*words: str, **more: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_urllib3_waits_as_it_is_told(stage: Stage) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", requests.adapters.HTTPAdapter(
            max_retries=Retry(2, status_forcelist=[429], respect_retry_after_header=True)))
        proxies = {"http": proxy_url(stage, "refuses")}
        got = [session.get(stage.url(f"/u{n}"), proxies=proxies, timeout=10) for n in range(6)]
    assert [reply.status_code for reply in got] == [200] * 6
    assert stage.plain.paths() == [f"/u{n}" for n in range(6)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_waits_as_it_is_told(stage: Stage, tmp_path: Path) -> None:
    """One retry is enough each time: whoever waits exactly that long gets through."""
    said = run("curl", "-sS", "--retry", "1", "-o", str(tmp_path / "c#1"), "-w", "%{http_code}\n",
               "-x", proxy_url(stage, "refuses"), stage.url("/c[0-5]"))
    assert said.split()[-1] == "200"
    assert stage.plain.paths() == [f"/c{n}" for n in range(6)]


UNDICI = """
const { Agent, ProxyAgent, RetryAgent, request } = require("undici");
const [target, proxy, token] = process.argv.slice(1);
(async () => {
  const dispatcher = new RetryAgent(new ProxyAgent({ uri: proxy, token }),
                                    { maxRetries: 2, statusCodes: [429], minTimeout: 1 });
  const got = [];
  for (let n = 0; n < 6; n++) {
    const answer = await request(target + "/n" + n, { dispatcher });
    await answer.body.dump();
    got.push(answer.statusCode);
  }
  console.log(JSON.stringify(got));
  process.exit(0);
})();
"""


def _has_undici() -> bool:
    node = shutil.which("node")
    return node is not None and subprocess.run(
        [node, "-e", "require('undici').RetryAgent"], capture_output=True, check=False,
        env=dict(os.environ)).returncode == 0


@pytest.mark.skipif(not _has_undici(),
                    reason="node with the package undici is not installed (NODE_PATH)")
def test_undici_waits_as_it_is_told(stage: Stage) -> None:
    """It sends plain HTTP through a CONNECT tunnel, which counts as a request itself."""
    url = proxy_url(stage, "refuses")
    credentials, _, at = url.removeprefix("http://").rpartition("@")
    token = requests.auth._basic_auth_str(*credentials.split(":", 1))
    node = shutil.which("node")
    assert node is not None
    said = run(node, "-e", UNDICI, stage.url("").rstrip("/"), f"http://{at}", token)
    assert json.loads(said) == [200] * 6
    assert stage.plain.paths() == [f"/n{n}" for n in range(6)]


def test_scrapy_is_served_by_pacing(stage: Stage) -> None:
    """Eight at once against ten a second: it never hears of a limit, and the target never sees
    more than its share."""
    said = run(sys.executable, str(Path(__file__).with_name("crawl.py")), stage.url("/"),
               proxy_url(stage, "paces"), env={**os.environ, "no_proxy": ""})
    found = json.loads(said.splitlines()[-1])
    assert found["ended"] == "finished"
    assert found["seen"] == dict.fromkeys(["/", *(f"/page/{n}" for n in range(PAGES))], 200)
    waits = [start["outbounds.wait"] for start, _ in stage.proxy.pairs(
        outbounds_verdict="pace", rule_id="paces")]
    assert len(waits) >= PAGES - 4 and max(waits) < 20e9


@pytest.mark.skipif(shutil.which("wget") is None, reason="wget is not installed")
def test_wget_is_served_by_pacing(stage: Stage) -> None:
    url = proxy_url(stage, "paces")
    credentials, _, at = url.removeprefix("http://").rpartition("@")
    user, password = credentials.split(":", 1)
    for n in range(6):
        run("wget", "-q", "-t", "1", "-O", "/dev/null", f"--proxy-user={user}",
            f"--proxy-password={password}", stage.url(f"/w{n}"),
            env={**os.environ, "http_proxy": f"http://{at}", "no_proxy": ""})
    assert stage.plain.paths() == [f"/w{n}" for n in range(6)]
