"""Proof of ownership on the wire: what an account may fetch before the proof, with it and after.

The commands are run as an operator runs them; the TXT records stand on a real name server, the
files at real origins, at the ports that the proxy is told to ask instead of 443 and 80.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from outbounds.cli import main
from outbounds.core.site_claims import FILE_PATH

from .dialogue import Answer, basic
from .dns_server import silent, texts
from .harness import (
    ROOT,
    accounts_file,
    edit_yaml,
    free_port,
    lift_limits,
    make_config,
    wait_until,
)
from .origin import Origin
from .stage import Stage, staged
from .test_workers import Workers, of_each

WHOLE = "User-agent: *\nDisallow: /\n"
NAMES = ("owned", "www.owned", "filed", "below.filed", "lapsing", "kept", "wrong",
         "asked", "closing")
HOSTS = ("a.site.test", *(f"{name}.test" for name in NAMES))

# the ports that the origins happen to have, in the place of 443 and 80
PATCH = """
import json, pathlib
from outbounds.robotstxt import ownership
ownership.PLACES = tuple(map(tuple, json.loads(pathlib.Path({places!r}).read_text())))
"""


def make(folder: Path, **terms: str) -> Any:
    places = folder / "places.json"

    def prepare(config: Path, ports: list[int]) -> None:
        places.write_text(json.dumps([["https", ports[1]], ["http", ports[0]]]))
        if terms:
            edit_yaml(config / "robots.yaml", lambda data: data.update(ownership=dict(terms)))

    return staged(folder, prepare=prepare, hosts=HOSTS, patch=PATCH.format(places=str(places)))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with make(tmp_path_factory.mktemp("owned")) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    running.plain.robots = running.tls.robots = WHOLE
    yield running
    running.plain.handler = running.tls.handler = None


def status(stage: Stage, host: str, name: str = "alice") -> int:
    return ask(stage, host, name).status


def tunnel(stage: Stage, host: str) -> int:
    """What a CONNECT of bob's is answered, into which nobody looks."""
    with stage.dialogue() as dialogue:
        return dialogue.connect(stage.at(host, "tls"), [basic("bob")]).status


def ask(stage: Stage, host: str, name: str = "alice") -> Answer:
    with stage.dialogue() as dialogue:
        return dialogue.ask("GET", stage.url("/page", host), [basic(name)])


def claim(stage: Stage, name: str, host: str, by: str = "dns") -> str:
    """Claim a site; the token that is to be published."""
    said = stage.command("sites", "claim", name, host, "--by", by)
    return token_of(said, by)


def token_of(said: str, by: str = "dns") -> str:
    words = [word.strip('"') for word in said.split()]
    if by == "dns":
        return next(word for word in words if word.startswith("outbounds-site="))
    return next(word for word in words if len(word) == 32)


def publish(stage: Stage, host: str, *tokens: str) -> None:
    stage.proxy.dns.scripts[f"_outbounds.{host}"] = texts(*(f'"{each}"' for each in tokens))


def listed(stage: Stage, host: str, name: str = "alice") -> dict[str, Any]:
    """The claim to `host`."""
    rows = [json.loads(line)
            for line in stage.command("sites", "list", name, "--json").splitlines()]
    found: dict[str, Any]
    found, = [row for row in rows if row["host"] == host]
    return found


def checks_of(stage: Stage, host: str, **wanted: Any) -> Any:
    """The records of the looks for this host's proofs, each with its end."""
    def find() -> Any:
        found = stage.proxy.pairs(event_action="ownership-check", destination_domain=host, **wanted)
        return found and all(end is not None for _, end in found) and found

    return wait_until(find)


def failing(stage: Stage, *words: str) -> str:
    result = CliRunner().invoke(main, ["sites", *words, "--config", str(stage.proxy.config)])
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    return result.output


def account_id(stage: Stage, name: str) -> str:
    file = accounts_file(stage.proxy.config)
    try:
        found = file.by_name(name)
        assert found
        return found[0].id
    finally:
        file.close()


# --- by DNS -------------------------------------------------------------------------------------


def test_a_txt_record_exempts_the_account_that_claimed_the_site(stage: Stage) -> None:
    """It alone, there and below; until the claim is removed. All of it is on record."""
    host, alice = "owned.test", account_id(stage, "alice")
    assert (status(stage, host), status(stage, host, "bob")) == (403, 403)
    said = stage.command("sites", "claim", "alice", "Owned.test.")
    token = token_of(said)
    assert f'\n  _outbounds.owned.test. TXT "{token}"\n' in said
    assert "The proxy looks for it within seconds" in said
    assert token_of(stage.command("sites", "claim", "alice", host)) == token
    wait_until(lambda: listed(stage, host)["failures"])
    pending = listed(stage, host)
    assert (pending["state"], pending["name"]) == ("pending", "alice")
    assert pending["failure"] == (
        "_outbounds.owned.test does not resolve: there is no such name.")
    assert status(stage, host) == 403
    publish(stage, host, "v=spf1 -all", token)
    assert stage.command("sites", "check", "alice", host) == (
        "Found. owned.test is proved, by dns.\n")
    assert [status(stage, each) for each in (host, "www.owned.test")] == [200, 200]
    assert [status(stage, each, "bob") for each in (host, "www.owned.test")] == [403, 403]
    assert status(stage, "filed.test") == 403
    exempt, _ = stage.proxy.pairs(outbounds_robots_exempt="owner:owned.test",
                                  destination_domain="www.owned.test")[0]
    assert (exempt["user.id"], exempt["outbounds.verdict"]) == (alice, "allow")
    metrics = stage.proxy.metrics()
    assert metrics['outbounds_owned_sites{state="proved"}'] >= 1
    assert metrics["outbounds_owned_sites_unreadable"] == 0
    proved = listed(stage, host)
    assert (proved["state"], proved["failure"]) == ("proved", "")
    assert proved["until"] - proved["found"] == 3 * 86_400
    assert proved["next_look"] - proved["looked"] == 86_400
    table = stage.command("sites", "list", "alice").splitlines()
    assert table[0].split()[:4] == ["account", "host", "by", "state"]
    assert any(line.split()[:4] == ["alice", host, "dns", "proved"] for line in table[1:])

    assert stage.command("sites", "remove", "alice", host) == (
        "Removed. In force in 1 worker.\n")
    assert [status(stage, each) for each in (host, "www.owned.test")] == [403, 403]
    wait_until(lambda: stage.proxy.pairs(event_action="site-removal", destination_domain=host))
    acts = [(start["event.action"], start["user.id"])
            for start, _ in stage.proxy.pairs(destination_domain=host)
            if start["event.action"].startswith("site-")]
    assert acts == [(action, alice) for action in ("site-claim", "site-proof", "site-removal")]
    outcomes = [end["event.outcome"] for _, end in checks_of(stage, host)]
    # not found until it was published, and found from then on, however often it was looked for
    assert outcomes == sorted(outcomes) and set(outcomes) == {"failure", "success"}
    # a new claim needs a new proof
    assert claim(stage, "alice", host) != token
    assert "does not claim" in failing(stage, "remove", "bob", host)


def test_the_token_of_another_account_proves_nothing(stage: Stage) -> None:
    host = "wrong.test"
    of_bob = claim(stage, "bob", host)
    claim(stage, "alice", host)
    assert tunnel(stage, host) == 403
    publish(stage, host, "outbounds-site=00000000000000000000000000000000", of_bob)
    assert "not found: _outbounds.wrong.test has no TXT record with the token of this claim." in (
        failing(stage, "check", "alice", host))
    assert stage.command("sites", "check", "bob", host).startswith("Found.")
    assert (status(stage, host), status(stage, host, "bob")) == (403, 200)
    assert tunnel(stage, host) == 200
    # two may prove one site
    publish(stage, host, of_bob, claim(stage, "alice", host))
    stage.command("sites", "check", "alice", host)
    assert (status(stage, host), status(stage, host, "bob")) == (200, 200)
    stage.command("sites", "remove", "bob", host)
    assert (status(stage, host), status(stage, host, "bob")) == (200, 403)


def test_a_name_server_that_does_not_answer_is_said(stage: Stage) -> None:
    claim(stage, "alice", "asked.test")
    stage.proxy.dns.scripts["_outbounds.asked.test"] = silent
    assert "Looking up _outbounds.asked.test took longer than 5 s." in failing(
        stage, "check", "alice", "asked.test")


@pytest.mark.parametrize(("words", "said"), [
    (("alice", "192.0.2.7"), "prove it by a file"),
    (("alice", "co.uk"), "belongs to many"),
    (("alice", "github.io"), "belongs to many"),
    (("alice", "a b.test"), "is not a host"),
    (("nobody", "a.test"), "there is no account 'nobody'"),
], ids=["address", "suffix", "private suffix", "no host", "no account"])
def test_what_cannot_be_claimed(stage: Stage, words: tuple[str, str], said: str) -> None:
    assert said in " ".join(failing(stage, "claim", *words).split())
    assert words[1] not in stage.command("sites", "list", "--json")


# --- by a file ----------------------------------------------------------------------------------


def serving(stage: Stage, reply: web.Response, kind: str = "tls") -> None:
    """Answer for the file of the origin of this kind."""
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path != FILE_PATH:
            return web.Response(text="a page")
        return web.Response(body=reply.body, status=reply.status, headers=reply.headers)
    getattr(stage, kind).handler = handler


def test_a_file_exempts_the_host_that_it_was_found_on(stage: Stage) -> None:
    host = "filed.test"
    said = stage.command("sites", "claim", "alice", host, "--by", "file")
    token = token_of(said, "file")
    assert f"\n  https://{host}{FILE_PATH}  (http where there is no https)" in said
    assert status(stage, host) == 403
    serving(stage, web.Response(text=f"# ours\n{token}\n"), "plain")
    # no name of it is in the certificate of the test's TLS origin: there is no https here
    assert stage.command("sites", "check", "alice", host) == (
        "Found. filed.test is proved, by file.\n")
    assert [status(stage, each) for each in (host, f"below.{host}")] == [200, 403]
    assert status(stage, host, "bob") == 403
    assert "is claimed already, by file" in failing(stage, "claim", "alice", host)
    start, end = checks_of(stage, host, url_scheme="http")[-1]
    assert (start["destination.ip"], start["destination.port"], end["event.outcome"]) == (
        "127.0.0.1", stage.plain.port, "success")
    asked = [seen for seen in stage.plain.seen if seen.path == FILE_PATH]
    assert all(dict(seen.headers)["User-Agent"].startswith("Outbounds/") for seen in asked)
    # the file is gone: the proof stands until it lapses
    serving(stage, web.Response(status=404), "plain")
    said = failing(stage, "check", "alice", host)
    assert "was answered with status 404. The proof still holds, until " in said
    assert listed(stage, host)["state"] == "failing"
    assert status(stage, host) == 200


def test_https_counts_where_there_is_some(stage: Stage) -> None:
    """A file over http does not make up for one that is not there over https."""
    host = "a.site.test"
    token = claim(stage, "alice", host, "file")
    serving(stage, web.Response(text=token), "plain")
    serving(stage, web.Response(status=404))
    assert "was answered with status 404" in failing(stage, "check", "alice", host)
    serving(stage, web.Response(text=token))
    stage.command("sites", "check", "alice", host)
    assert status(stage, host) == 200


def test_a_site_that_is_closed_is_not_asked(stage: Stage) -> None:
    host = "closing.test"
    stage.command("limits", "close", host, "--reason", "complaint")
    token = claim(stage, "alice", host, "file")
    serving(stage, web.Response(text=token), "plain")
    assert "may not be reached" in failing(stage, "check", "alice", host)
    assert host not in [dict(seen.headers)["Host"].partition(":")[0]
                        for seen in stage.plain.seen + stage.tls.seen]
    start, end = checks_of(stage, host)[-1]
    assert (start["outbounds.verdict"], end["event.outcome"]) == ("refuse", "failure")


# --- as time goes on ----------------------------------------------------------------------------


def test_a_proof_that_is_gone_lapses_and_comes_back(tmp_path: Path) -> None:
    with make(tmp_path, check="500ms", lapse="5s") as stage:
        stage.plain.robots = WHOLE
        host = "lapsing.test"
        token = claim(stage, "alice", host)
        publish(stage, host, token)
        stage.command("sites", "check", "alice", host)
        # longer than the lapse: what is found again and again goes on
        since = listed(stage, host)["since"]
        wait_until(lambda: (now := listed(stage, host))["found"] - since > 3.5 and now, 30)
        assert listed(stage, host)["since"] == since
        assert status(stage, host) == 200
        publish(stage, host)
        wait_until(lambda: "The proof that" in stage.proxy.log)
        assert status(stage, host) == 200 or listed(stage, host)["state"] == "lapsed"
        wait_until(lambda: status(stage, host) == 403)
        assert listed(stage, host)["state"] == "lapsed"
        lapse, = wait_until(lambda: stage.proxy.pairs(event_action="site-lapse"))
        assert lapse[0]["destination.domain"] == host
        assert f"{host} is no longer proved" in stage.proxy.log
        publish(stage, host, token)
        wait_until(lambda: status(stage, host) == 200)


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """What is proved stays so without a look; a broken file stops the start, not what runs."""
    with make(tmp_path) as stage:
        stage.plain.robots = WHOLE
        host, proxy = "kept.test", stage.proxy
        publish(stage, host, claim(stage, "alice", host))
        stage.command("sites", "check", "alice", host)
        before = listed(stage, host)
        proxy.stop()
        while_down = stage.command("sites", "claim", "bob", host)
        assert "No proxy runs; it is looked for when one starts." in while_down
        assert "no proxy runs that could look" in failing(stage, "check", "bob", host)
        proxy.start()
        wait_until(lambda: proxy.log.count("enforces policy") == 2)
        assert (status(stage, host), status(stage, host, "bob")) == (200, 403)
        assert listed(stage, host)["looked"] == before["looked"]
        publish(stage, host, token_of(while_down))
        wait_until(lambda: status(stage, host, "bob") == 200, 30)

        file = proxy.data / "sites.json"
        file.write_text("{")
        wait_until(lambda: proxy.metrics()["outbounds_owned_sites_unreadable"] == 1)
        assert status(stage, host) == 200
        assert "The sites that accounts own stay as they are: " in proxy.log
        assert "sites.json: " in failing(stage, "remove", "alice", host)
        proxy.stop()
        done = subprocess.run(
            [sys.executable, "-m", "outbounds", "serve", "--config", str(proxy.config)],
            capture_output=True, text=True, timeout=30, check=False,
            env={"PYTHONPATH": str(ROOT / "addons"), "PATH": "/usr/bin:/bin"})
        assert done.returncode == 1
        assert "sites.json: " in done.stderr and "Traceback" not in done.stderr


# --- several workers ----------------------------------------------------------------------------


def test_what_one_worker_finds_is_in_force_in_all(tmp_path: Path) -> None:
    with Origin(free_port(), robots=WHOLE) as origin:
        config = make_config(tmp_path / "config", [origin.port])
        lift_limits(config)
        with Workers(config, names={"site.test": ["127.0.0.1"]}) as proxy:
            stage = Stage(proxy, origin, origin, None, config, config)  # type: ignore[arg-type]
            url = f"http://site.test:{origin.port}/page"
            assert set(of_each(proxy, url).values()) == {403}
            publish(stage, "site.test", claim(stage, "alice", "site.test"))
            stage.command("sites", "check", "alice", "site.test")
            wait_until(lambda: set(of_each(proxy, url).values()) == {200})
            checks = proxy.pairs(event_action="ownership-check")
            assert len({start["outbounds.session"] for start, _ in checks}) == 1
            assert stage.command("sites", "remove", "alice", "site.test") == (
                "Removed. In force in 2 workers.\n")
            assert set(of_each(proxy, url).values()) == {403}
            removals = wait_until(lambda: proxy.pairs(event_action="site-removal"))
            assert len(removals) == 1
