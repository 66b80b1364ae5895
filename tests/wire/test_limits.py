"""Limits on the wire: who is counted together, what is refused, what is paced, and for how long.

The rates are small, so that a second shows what a minute would. Each test has accounts or hosts of
its own; nothing else is shared but the proxy.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.util import Retry

from .dialogue import Answer, Dialogue, basic
from .harness import PLAIN_PASSWORD, add_account, edit_yaml, wait_until
from .stage import Stage, staged

LIMITS = {  # plan: its limits, each of them (unit, per, …)
    "account": [{"unit": "requests", "per": "account", "rate": "6/min", "burst": 3,
                 "over": "refuse"}],
    "even": [{"unit": "requests", "per": "account", "rate": "30/min", "burst": 2,
              "over": "refuse"}],
    "quick": [{"unit": "requests", "per": "account", "rate": "1/s", "burst": 3,
               "over": "refuse"}],
    "host": [{"unit": "requests", "per": "account+host", "rate": "1/min", "burst": 2,
              "over": "refuse", "clause": "P-impair"}],
    "tunnels": [{"unit": "tunnels", "per": "account", "max": 2}],
    "paced": [{"unit": "requests", "per": "account", "rate": "5/s", "burst": 1, "over": "pace",
               "max_wait": "0.7s", "clause": "P-impair"}],
    "slow": [{"unit": "requests", "per": "account", "rate": "10/min", "burst": 1, "over": "pace",
              "max_wait": "10s", "clause": "P-impair"}],
    "both": [{"unit": "requests", "per": "account", "rate": "1/h", "burst": 4, "over": "refuse"},
             {"unit": "requests", "per": "account+host", "rate": "1/h", "burst": 1,
              "over": "refuse"}],
    "hourly": [{"unit": "requests", "per": "account", "rate": "1/h", "burst": 2,
                "over": "refuse"}],
    "free": [],
}
TARGET = {"id": "target", "unit": "requests", "per": "host", "rate": "1/h", "burst": 30,
          "over": "refuse", "clause": "P-flood"}
HOSTS = tuple(f"{name}.site.test" for name in (
    "target", "one", "two", "three", "four", "delayed", "late", "retried", "paced", "slow"))


def prepare(config: Path, ports: list[int]) -> None:
    def plans(data: Any) -> None:
        data["plans"] = [{"id": "default", "limits": []}] + [
            {"id": plan, "limits": [f"{plan}-{n}" for n in range(len(limits))]}
            for plan, limits in LIMITS.items()]

    def limits(data: Any) -> None:
        data["limits"] = [{"id": f"{plan}-{n}", "clause": "S-fairshare", **limit}
                          for plan, limits in LIMITS.items() for n, limit in enumerate(limits)]
        data["limits"].append(TARGET)

    edit_yaml(config / "limits.yaml", limits)
    edit_yaml(config / "plans.yaml", plans)
    edit_yaml(config / "robots.yaml", lambda data: data.update(max_wait="1.2s", max_delay="2s"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("limits"), prepare=prepare, hosts=HOSTS) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.clear()
    return running


Make = Callable[[str], str]


@pytest.fixture
def account(stage: Stage) -> Make:
    """Makes an account on a plan; its name."""
    def make(plan: str, **fields: Any) -> str:
        name = f"{plan}-{time.monotonic_ns()}"
        add_account(stage.proxy.config, name, PLAIN_PASSWORD, plan=plan, **fields)
        return name

    return make


def ask(stage: Stage, name: str, host: str = "one.site.test", path: str = "/") -> Answer:
    with stage.dialogue() as dialogue:
        return dialogue.ask("GET", stage.url(path, host), [basic(name)])


def statuses(stage: Stage, times: int, name: str, host: str = "one.site.test") -> list[int]:
    return [ask(stage, name, host).status for _ in range(times)]


# --- who is counted together --------------------------------------------------------------------


def test_per_account(stage: Stage, account: Make) -> None:
    """All hosts together; another account of the same plan has its own."""
    name, other = account("account"), account("account")
    hosts = ("one.site.test", "two.site.test", "three.site.test")
    answers = [ask(stage, name, host) for host in hosts]
    refused = ask(stage, name)
    assert [a.status for a in answers] == [200, 200, 200]
    assert refused.status == 429 and refused.problem["rule"] == "account-0"
    assert ask(stage, other).status == 200


def test_per_account_and_host(stage: Stage, account: Make) -> None:
    """One host is one host in every spelling, at every port, plain or in a tunnel."""
    name, other = account("host"), account("host")
    assert statuses(stage, 2, name) == [200, 200]
    refused = ask(stage, name)
    assert refused.status == 429 and refused.problem["rule"] == "host-0"
    assert 55 <= int(refused["retry-after"]) <= 60
    for spelling in ("ONE.site.test", "one.site.test."):
        assert ask(stage, name, spelling).status == 429
    with stage.dialogue() as dialogue:
        assert dialogue.connect(stage.at("one.site.test", "tls"), [basic(name)]).status == 429
    assert ask(stage, name, "two.site.test").status == 200
    assert ask(stage, other).status == 200


def test_per_target_over_all_accounts(stage: Stage, account: Make) -> None:
    """Not in any plan, and holds for all of them; the fetch of robots.txt is one of the thirty."""
    first, second = account("free"), account("free")
    host = "target.site.test"
    assert statuses(stage, 15, first, host) == [200] * 15
    assert statuses(stage, 14, second, host) == [200] * 14
    for name in (first, second):
        refused = ask(stage, name, host)
        assert refused.status == 429
        assert (refused.problem["rule"], refused.problem["clause"]) == ("target", "P-flood")
    assert ask(stage, first, "two.site.test").status == 200
    assert len(stage.plain.paths()) == 30


def test_concurrent_tunnels(stage: Stage, account: Make) -> None:
    """Counted while they are open; plain requests are none, and a closed one makes room."""
    name, other = account("tunnels"), account("tunnels")
    at = stage.at("one.site.test", "tls")
    with stage.dialogue() as first, stage.dialogue() as second, stage.dialogue() as third:
        assert first.connect(at, [basic(name)]).status == 200
        assert second.connect(at, [basic(name)]).status == 200
        refused = third.connect(at, [basic(name)])
        assert refused.status == 429 and refused.problem["rule"] == "tunnels-0"
        assert third.connect(at, [basic(other)]).status == 200
        assert ask(stage, name).status == 200
        first.close()
        wait_until(lambda: opens(stage, at, name))


def opens(stage: Stage, at: str, name: str) -> bool:
    with stage.dialogue() as dialogue:
        return dialogue.connect(at, [basic(name)]).status == 200


def test_a_tunnel_that_fails_is_not_open(stage: Stage, account: Make) -> None:
    name = account("tunnels")
    for _ in range(4):
        with stage.dialogue() as dialogue:
            answer = dialogue.connect("one.site.test:443", [basic(name)])
            assert answer.status in (403, 502), answer
    assert opens(stage, stage.at("one.site.test", "tls"), name)


# --- all or nothing -----------------------------------------------------------------------------


def test_a_refused_request_costs_nothing(stage: Stage, account: Make) -> None:
    """One limit is over its edge: the other, which still has room, is not charged."""
    name = account("both")
    assert ask(stage, name, "one.site.test").status == 200
    for _ in range(5):
        refused = ask(stage, name, "one.site.test")
        assert refused.status == 429 and refused.problem["rule"] == "both-1"
    hosts = ("two.site.test", "three.site.test", "four.site.test")
    assert [ask(stage, name, host).status for host in hosts] == [200, 200, 200]
    refused = ask(stage, name, "late.site.test")
    assert refused.status == 429 and refused.problem["rule"] == "both-0"


# --- the time to come back ----------------------------------------------------------------------


def test_retry_after_is_true(stage: Stage, account: Make) -> None:
    """A client that waits exactly that long is let in; one that comes earlier is not."""
    name = account("even")
    assert statuses(stage, 2, name) == [200, 200]
    began = time.monotonic()
    refused = ask(stage, name)
    assert refused.status == 429
    told = int(refused["retry-after"])
    assert told == 2  # it is a little less, and rounded up
    assert refused["ratelimit"] == '"even-0";r=0;t=4'
    assert refused["ratelimit-policy"] == '"even-0";q=30;w=60'
    time.sleep(1.0)
    assert ask(stage, name).status == 429
    time.sleep(max(0.0, began + told - time.monotonic()))
    assert ask(stage, name).status == 200


def test_a_client_that_honours_retry_after_gets_through(stage: Stage, account: Make) -> None:
    """urllib3's own Retry, which waits for as long as it is told."""
    name = account("quick")
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", requests.adapters.HTTPAdapter(
            max_retries=Retry(3, status_forcelist=[429], respect_retry_after_header=True)))
        proxies = {"http": stage.proxy.url_for(name)}
        got = [session.get(stage.url(f"/{n}", "retried.site.test"), proxies=proxies, timeout=10)
               for n in range(5)]
    assert [reply.status_code for reply in got] == [200] * 5
    assert stage.plain.paths() == [f"/{n}" for n in range(5)]
    assert stage.proxy.pairs(rule_id="quick-0", destination_domain="retried.site.test")


# --- pacing -------------------------------------------------------------------------------------


def at_once(stage: Stage, number: int, name: str, host: str) -> list[tuple[float, Answer]]:
    """Ask `number` times at once, on a connection each: (seconds it took, answer), by time."""
    found: list[tuple[float, Answer]] = []
    started = threading.Barrier(number)

    def one(dialogue: Dialogue) -> None:
        started.wait()
        began = time.monotonic()
        answer = dialogue.ask("GET", stage.url("/", host), [basic(name)])
        found.append((time.monotonic() - began, answer))

    dialogues = [stage.dialogue() for _ in range(number)]
    threads = [threading.Thread(target=one, args=(dialogue,)) for dialogue in dialogues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    for dialogue in dialogues:
        dialogue.close()
    return sorted(found, key=lambda each: each[0])


def test_paced_requests_arrive_spaced(stage: Stage, account: Make) -> None:
    """Five a second, waiting 0.7 s at most: of eight at once four get through, 0.2 s apart."""
    name = account("paced")
    host = "paced.site.test"
    ask(stage, name, host)  # the password, the robots.txt
    time.sleep(0.3)
    stage.clear()
    found = at_once(stage, 8, name, host)
    through = [took for took, answer in found if answer.status == 200]
    refused = [answer for _, answer in found if answer.status == 429]
    assert (len(through), len(refused)) == (4, 4)
    gaps = [later - earlier for earlier, later in itertools.pairwise(through)]
    assert all(0.1 < gap < 0.4 for gap in gaps), through
    for answer in refused:
        assert answer.problem["rule"] == "paced-0" and answer["retry-after"] == "1"
    assert all(took < 0.2 for took, answer in found if answer.status == 429)
    assert len(stage.plain.paths()) == 4
    waits = sorted(start.get("outbounds.wait", 0) / 1e9 for start, _ in stage.proxy.pairs(
        destination_domain=host, outbounds_verdict="pace"))
    assert len(waits) == 3
    for wait, due in zip(waits, (0.2, 0.4, 0.6), strict=True):
        assert due - 0.1 < wait < due + 0.1  # as long as it was really held


def test_a_suspension_reaches_a_request_that_waits(stage: Stage, account: Make) -> None:
    name, host = account("slow"), "slow.site.test"
    assert ask(stage, name, host).status == 200
    stage.clear()
    with stage.dialogue() as dialogue:
        dialogue.send("GET", stage.url("/", host), [basic(name)])
        wait_until(lambda: stage.proxy.metrics()["outbounds_waiting_requests"] == 1)
        stage.command("accounts", "suspend", name, "--reason", "enough")
        answer = dialogue.answer()
    assert answer.status == 403
    assert answer.problem["rule"] == "suspended"
    assert stage.reached() == []
    _, end = stage.record(answer)
    assert end["http.response.status_code"] == 403


def test_crawl_delay_is_paced(stage: Stage, account: Make) -> None:
    """A site's own wish, for each account; one that would wait too long is told when to come."""
    stage.plain.robots = "User-agent: *\nCrawl-delay: 1\n"
    host = "delayed.site.test"
    try:
        first, second = account("free"), account("free")
        assert ask(stage, first, host).status == 200
        began = time.monotonic()
        found = at_once(stage, 3, first, host)
        assert sorted(answer.status for _, answer in found) == [200, 429, 429]
        assert 0.5 < time.monotonic() - began < 1.5
        refused = next(answer for _, answer in found if answer.status == 429)
        assert (refused.problem["rule"], refused.problem["clause"]) == ("crawl-delay", "P-robots")
        assert refused["ratelimit-policy"] == '"crawl-delay";q=1;w=1'
        assert int(refused["retry-after"]) in (1, 2)
        assert ask(stage, second, host).status == 200
    finally:
        stage.plain.robots = None


# --- over a reload ------------------------------------------------------------------------------


def test_what_is_counted_stays_counted_over_a_reload(stage: Stage, account: Make) -> None:
    """And a limit that was changed holds within two seconds, on connections that are open."""
    name = account("hourly")
    with stage.dialogue() as dialogue:
        def get() -> int:
            return dialogue.ask("GET", stage.url(), [basic(name)]).status

        assert [get(), get(), get()] == [200, 200, 429]

        def more(data: Any) -> None:
            limit = next(each for each in data["limits"] if each["id"] == "hourly-0")
            limit["burst"] = 4

        edit_yaml(stage.proxy.config / "limits.yaml", more)
        wait_until(lambda: get() == 200, 2)  # two were used of now four: two are left
        assert [get(), get()] == [200, 429]


def test_a_plan_that_is_gone_is_not_one_without_limits(stage: Stage, account: Make) -> None:
    assert ask(stage, account("no-such-plan")).status == 503
    assert stage.plain.paths() == []
