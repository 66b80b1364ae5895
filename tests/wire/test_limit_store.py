"""Limits on a server, through real proxies: two machines share them; it goes, and comes back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stores.server import BINARY, MISSING, Server

from .dialogue import Answer, Dialogue, basic
from .harness import (
    PLAIN_PASSWORD,
    Proxy,
    accounts_file,
    add_account,
    edit_yaml,
    free_port,
    make_config,
    wait_until,
)
from .origin import Origin

pytestmark = pytest.mark.skipif(BINARY is None, reason=MISSING)

LIMITS = {
    "shared": {"unit": "requests", "per": "account", "rate": "1/h", "burst": 10},
    "open": {"unit": "requests", "per": "account", "rate": "1/h", "burst": 2,
             "when_away": "open"},
    "closed": {"unit": "requests", "per": "account", "rate": "1/h", "burst": 1000,
               "when_away": "closed"},
    "tunnels": {"unit": "tunnels", "per": "account", "max": 3},
}
ACCOUNTS = tuple(f"{plan}-{n}" for plan in LIMITS for n in range(3))


class Machines:
    """Two proxies that share nothing but a server, and their customers' account ids."""

    def __init__(self, server: Server, origin: Origin, proxies: tuple[Proxy, ...]) -> None:
        self.server, self.origin, self.proxies = server, origin, proxies

    def ask(self, which: int, name: str) -> Answer:
        with Dialogue(self.proxies[which].port) as dialogue:
            return dialogue.ask("GET", f"http://site.test:{self.origin.port}/", [basic(name)])

    def up(self) -> list[float]:
        return [proxy.metrics()["outbounds_limit_store_up"] for proxy in self.proxies]


def configure(folder: Path, server: Server, port: int) -> Path:
    config = make_config(folder, [port], robots="off")
    edit_yaml(config / "limits.yaml", lambda data: data.update(limits=[
        {"id": plan, "clause": "S-fairshare", **limit} for plan, limit in LIMITS.items()]))
    edit_yaml(config / "plans.yaml", lambda data: data.update(plans=[
        {"id": "default", "limits": []},
        *({"id": plan, "limits": [plan]} for plan in LIMITS)]))
    edit_yaml(config / "outbounds.yaml", lambda data: data.update(
        store={"url": server.url, "timeout": "250ms"}))  # the machine may be busy
    return config


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        server = Server().start()
        stack.callback(server.close)
        origin = stack.enter_context(Origin(free_port()))
        first = configure(tmp_path / "one", server, origin.port)
        for name in ACCOUNTS:
            add_account(first, name, PLAIN_PASSWORD, plan=name.partition("-")[0])
        second = configure(tmp_path / "two", server, origin.port)
        # the same customers on both: an account is its id
        accounts_file(second).close()
        (second / "var" / "accounts.db").write_bytes((first / "var" / "accounts.db").read_bytes())
        proxies = tuple(stack.enter_context(Proxy(config, names={"site.test": ["127.0.0.1"]}))
                        for config in (first, second))
        yield Machines(server, origin, proxies)


def test_what_one_machine_lets_through_the_other_counts(machines: Machines) -> None:
    found = [machines.ask(n % 2, "shared-0").status for n in range(14)]
    assert found == [200] * 10 + [429] * 4
    assert len(machines.origin.paths()) == 10
    refused = machines.ask(1, "shared-0")
    assert refused.problem["rule"] == "shared" and 3500 < int(refused["retry-after"]) <= 3600
    for proxy in machines.proxies:
        assert proxy.metrics()['outbounds_limit_store_decisions_total{way="server"}'] >= 7


def test_tunnels_are_counted_over_both_and_come_free_when_one_dies(machines: Machines) -> None:
    at = f"site.test:{machines.origin.port}"

    def opened(which: int) -> Dialogue | None:
        dialogue = Dialogue(machines.proxies[which].port)
        answer = dialogue.connect(at, [basic("tunnels-0")])
        if answer.status == 200:
            return dialogue
        assert answer.status == 429
        dialogue.close()
        return None

    held = [opened(0), opened(1), opened(1)]
    assert None not in held
    assert opened(0) is None
    held[1].close()  # type: ignore[union-attr]
    again: Any = wait_until(lambda: opened(0))
    again.close()
    for each in held:
        each.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_away_and_back(machines: Machines, how: str) -> None:
    """Each limit by its when_away; nobody waits; and no restart is needed."""
    for name in ("open-0", "closed-0", "shared-1"):
        assert machines.ask(0, name).status == 200
    if how == "killed":
        machines.server.kill()
    else:
        machines.server.send(signal.SIGSTOP)
    # a server that hangs is found out by who asks
    wait_until(lambda: all(machines.ask(n, "open-1").status == 200 for n in (0, 1))
               and machines.up() == [0, 0])
    assert [machines.ask(0, "open-0").status for _ in range(5)] == [200] * 5
    refused = machines.ask(0, "closed-0")
    assert refused.status == 503 and refused.problem["rule"] == "closed"
    assert int(refused["retry-after"]) >= 1
    # each enforces its half of the ten
    for which in (0, 1):
        found = [machines.ask(which, "shared-2").status for _ in range(8)]
        assert found == [200] * 5 + [429] * 3
    if how == "killed":
        machines.server.start()
    else:
        machines.server.send(signal.SIGCONT)
    wait_until(lambda: machines.up() == [1, 1], 20)
    assert machines.ask(0, "closed-0").status == 200
    for proxy in machines.proxies:
        assert proxy.log.count("limits") >= 1 and "Traceback" not in proxy.log
