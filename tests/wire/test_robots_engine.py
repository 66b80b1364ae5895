"""`engine: reppy` in a running proxy: what it allows and refuses, and what a hostile site costs."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .dialogue import Answer, basic
from .harness import ROOT, Proxy, edit_yaml, make_config, wait_until
from .stage import Stage, staged

needs_reppy = pytest.mark.skipif(
    importlib.util.find_spec("reppy") is None,
    reason="reppy is not installed: building it needs uv and a C++ compiler (scripts/environment)")

NAMES = ("plain", "crash", "endless", "unread", "held", "killed", "named")
HOSTS = tuple(f"{name}.site.test" for name in NAMES)
RULES = "User-agent: *\nDisallow: /private\n"
ENDLESS = "User-agent: *\nDisallow: /*a*a*a*b\n"
SLOW = "/" + "a" * 400


def choose(config: Path, ports: list[int]) -> None:
    edit_yaml(config / "robots.yaml", lambda data: data.update(engine="reppy"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("reppy"), prepare=choose, hosts=HOSTS) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.plain.robots = RULES
    running.clear()
    yield running


def ask(stage: Stage, name: str, path: str, agent: str = "FooBot/1.0") -> Answer:
    with stage.dialogue() as dialogue:
        return dialogue.ask("GET", stage.url(path, f"{name}.site.test"),
                            [basic("alice"), ("User-Agent", agent)])


def failures(stage: Stage, why: str) -> float:
    return stage.proxy.metrics().get(f'outbounds_robots_engine_failures_total{{why="{why}"}}', 0.0)


def workers(stage: Stage) -> list[int]:
    """Processes of reppy that the proxy has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == stage.proxy.process.pid and b"reppy_worker" in words:
            found.append(int(folder.name))
    return found


@needs_reppy
def test_it_allows_and_refuses(stage: Stage) -> None:
    assert ask(stage, "plain", "/open").status == 200
    for _ in range(2):  # judged, and remembered
        refusal = ask(stage, "plain", "/private/x")
        assert refusal.status == 403
        opening, _ = stage.record(refusal)
        assert opening["rule.id"] == "robots:2"
    assert ask(stage, "plain", "/open/../private").status == 403
    assert stage.reached() == ["/open"]


@needs_reppy
def test_it_is_given_the_product_token(stage: Stage) -> None:
    stage.plain.robots = "User-agent: foobot\nDisallow: /\n"
    agent = "Mozilla/5.0 (compatible; FooBot/1.2; +https://foo.example/bot)"
    assert ask(stage, "named", "/", agent).status == 403
    assert ask(stage, "named", "/", "BarBot/1.0").status == 200


@needs_reppy
def test_the_path_that_would_abort_it(stage: Stage) -> None:
    died = failures(stage, "died")
    assert ask(stage, "crash", "//foo:bar/").status == 200
    assert ask(stage, "crash", "/private").status == 403
    assert failures(stage, "died") == died


@needs_reppy
def test_an_endless_pattern_is_refused_and_holds_nobody_up(stage: Stage) -> None:
    died, poisonous = failures(stage, "died"), failures(stage, "poisonous")
    assert ask(stage, "held", "/first").status == 200
    stage.plain.robots = ENDLESS
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(ask(stage, "endless", SLOW)))
    asking.start()
    others = [ask(stage, "held", f"/{number}").status for number in range(20)]
    asking.join()
    assert others == [200] * 20
    (refusal,) = answers
    assert refusal.status == 503
    opening, _ = stage.record(refusal)
    assert (opening["rule.ruleset"], opening["rule.id"]) == ("robots", "fault")
    assert failures(stage, "died") == died + 1
    assert ask(stage, "endless", SLOW).status == 503
    assert failures(stage, "poisonous") == poisonous + 1
    assert ask(stage, "endless", "/b").status == 200
    assert not any(path.startswith("/aaa") for path in stage.reached())


@needs_reppy
def test_a_file_that_it_cannot_read_refuses(stage: Stage) -> None:
    stage.plain.robots = "User-agent: *\nDisallow: //foo:bar/\n"
    assert ask(stage, "unread", "/").status == 503
    assert stage.reached() == []


@needs_reppy
def test_its_processes_are_replaced(stage: Stage) -> None:
    assert ask(stage, "killed", "/1").status == 200
    before = wait_until(lambda: len(found := workers(stage)) == 2 and found)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(before) & set(workers(stage)))
    assert ask(stage, "killed", "/2").status == 200
    assert len(wait_until(lambda: len(found := workers(stage)) == 2 and found)) == 2


@needs_reppy
def test_the_engine_is_changed_without_a_restart(tmp_path: Path) -> None:
    with staged(tmp_path, hosts=HOSTS) as stage:
        stage.plain.robots = RULES
        assert ask(stage, "plain", "/private").status == 403
        assert workers(stage) == []
        edit_yaml(stage.proxy.config / "robots.yaml", lambda data: data.update(engine="reppy"))
        wait_until(lambda: "is in force; before" in stage.proxy.log)
        assert ask(stage, "plain", "/private/2").status == 403
        wait_until(lambda: len(workers(stage)) == 2)
        edit_yaml(stage.proxy.config / "robots.yaml", lambda data: data.update(engine="built-in"))
        wait_until(lambda: stage.proxy.log.count("is in force; before") == 2)
        assert ask(stage, "plain", "/private/3").status == 403
        wait_until(lambda: not workers(stage))




def without_reppy(folder: Path) -> dict[str, str]:
    """An environment in which the processes, and they alone, find a reppy that cannot be loaded."""
    broken = folder / "broken" / "reppy"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('built for another Python')\n")
    return {"PYTHONPATH": os.pathsep.join([str(broken.parent), str(ROOT / "addons")])}


def test_without_reppy_it_does_not_start(tmp_path: Path) -> None:
    config = make_config(tmp_path / "config", [])
    choose(config, [])
    said = []
    for words in (["check"], ["serve", "--port", "0"]):
        done = subprocess.run([sys.executable, "-m", "outbounds", *words, "--config", str(config)],
                              capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, **without_reppy(tmp_path / words[0])})
        assert done.returncode != 0
        said.append(done.stderr + done.stdout)
    for text in said:
        assert "robots.yaml:" in text and 'engine: "reppy"' in text, text
        assert "ImportError: built for another Python" in text
        assert "set engine: built-in" in text


def test_without_reppy_a_reload_changes_nothing(tmp_path: Path) -> None:
    config = make_config(tmp_path / "config", [])
    with Proxy(config, env=without_reppy(tmp_path)) as proxy:
        choose(config, [])
        wait_until(lambda: "cannot be used" in proxy.log)
        assert 'engine: "reppy": reppy cannot judge here' in proxy.log
        assert proxy.metrics()["outbounds_policy_reload_failed"] == 1
