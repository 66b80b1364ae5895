"""What accounts own is taken over as the file changes, and what changed is told once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from outbounds.core.destination import parse_host
from outbounds.core.owned_sites import NONE, OwnedSites
from outbounds.core.site_claims import Proof, SiteClaim, State
from outbounds.proxy.owned_keeper import OwnedKeeper
from outbounds.robotstxt.ownership_file import (
    SitesFileError,
    add_claim,
    new_token,
    remove_claim,
    sites_path,
    write_looks,
)

NOW = 1_800_000_000.0
CLAIM = SiteClaim("acme", "example.com", Proof.DNS, new_token(), NOW)
PROVED = CLAIM.after_look("", NOW, 100.0)
HOST = parse_host("www.example.com")


class Follower:
    def __init__(self, data: Path) -> None:
        self.now, self.lapse = NOW, 100.0
        self.sites = NONE
        self.told: list[tuple[str, State | None, State | None]] = []
        self.reports: list[tuple[dict[State, int], bool]] = []
        self.path = sites_path(data)
        self.keeper = OwnedKeeper(self.path, lambda: self.lapse, self.follow,
                                  changed=self.changed, report=self.report, wall=lambda: self.now)

    def follow(self, sites: OwnedSites) -> None:
        self.sites = sites

    def changed(self, claim: SiteClaim, old: State | None, new: State | None) -> None:
        self.told.append((claim.host, old, new))

    def report(self, states: Mapping[State, int], broken: bool) -> None:
        self.reports.append((dict(states), broken))

    def owns(self) -> bool:
        return self.sites.find("acme", HOST, self.now) is not None


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    made = Follower(tmp_path)
    made.keeper.load()
    return made


async def test_every_change_is_told_once(follower: Follower) -> None:
    keeper, path = follower.keeper, follower.path

    async def look() -> list[tuple[str, State | None, State | None]]:
        follower.told.clear()
        await keeper.look()
        await keeper.look()
        return follower.told.copy()

    assert await look() == [] and not follower.owns()
    add_claim(path, CLAIM)
    assert await look() == [("example.com", None, State.PENDING)] and not follower.owns()
    missed = CLAIM.after_look("no", NOW, 100.0)
    write_looks(path, [missed])
    assert await look() == []
    write_looks(path, [PROVED])
    assert await look() == [("example.com", State.PENDING, State.PROVED)] and follower.owns()
    write_looks(path, [PROVED.after_look("gone", NOW + 1, 100.0)])
    assert await look() == [("example.com", State.PROVED, State.FAILING)] and follower.owns()
    assert follower.reports[-1] == ({State.FAILING: 1}, False)
    # of another token: another claim
    remove_claim(path, "acme", "example.com")
    add_claim(path, replace(CLAIM, token=new_token()))
    assert await look() == [("example.com", State.FAILING, None),
                            ("example.com", None, State.PENDING)]
    assert not follower.owns()
    path.unlink()
    assert await look() == [("example.com", State.PENDING, None)]
    assert keeper.claims == ()


async def test_a_lapse_is_told_without_a_change_of_the_file(follower: Follower) -> None:
    add_claim(follower.path, PROVED)
    await follower.keeper.look()
    follower.told.clear()
    follower.now += 99.9
    await follower.keeper.look()
    assert follower.told == [] and follower.owns()
    follower.now += 0.1
    assert not follower.owns()  # before anybody looks
    await follower.keeper.look()
    await follower.keeper.look()
    assert follower.told == [("example.com", State.PROVED, State.LAPSED)]
    assert follower.reports[-1] == ({State.LAPSED: 1}, False)


async def test_another_lapse_in_the_configuration_holds_at_once(follower: Follower) -> None:
    add_claim(follower.path, PROVED)
    await follower.keeper.look()
    follower.now += 50
    follower.lapse = 40.0
    await follower.keeper.look()
    assert not follower.owns()
    follower.lapse = 60.0
    await follower.keeper.look()
    assert follower.owns()


def test_what_was_so_before_the_start_is_no_change(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    add_claim(follower.path, PROVED)
    follower.keeper.load()
    assert follower.told == [] and follower.owns()
    assert follower.reports == [({State.PROVED: 1}, False)]


async def test_a_file_that_breaks_is_said_once_and_changes_nothing(
        follower: Follower, caplog: pytest.LogCaptureFixture) -> None:
    add_claim(follower.path, PROVED)
    await follower.keeper.look()
    good = follower.path.read_bytes()
    follower.path.write_bytes(b"{")
    with caplog.at_level(logging.INFO, "outbounds"):
        for _ in range(3):
            await follower.keeper.look()
        assert follower.reports[-1] == ({State.PROVED: 1}, True)
        assert follower.keeper.trouble and follower.owns()
        follower.path.write_bytes(good)
        await follower.keeper.look()
    assert not follower.keeper.trouble and follower.reports[-1] == ({State.PROVED: 1}, False)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_file_that_is_broken_at_the_start_is_an_error(tmp_path: Path) -> None:
    sites_path(tmp_path).write_bytes(b"{")
    with pytest.raises(SitesFileError):
        Follower(tmp_path).keeper.load()
