"""What was captured goes after the case was closed, on record before."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.captures.expiry import run
from outbounds.evidence.captures.orders import captured_folder
from outbounds.evidence.cases.desk import Desk
from outbounds.evidence.cases.store import cases_of
from outbounds.evidence.keeper.task import KeeperFault, Keeping
from outbounds.evidence.line import fields
from outbounds.evidence.submit import recording
from outbounds.settings.evidence import Evidence

DAY = 86_400.0


@pytest.fixture
def keeping(tmp_path: Path) -> Keeping:
    """Case A is open, B was closed; each has two files, B the rest of a third."""
    settings = Evidence.model_construct(socket=tmp_path / "nobody.sock")
    found = Keeping(tmp_path / "evidence", tmp_path, settings, time.time(), lambda _: None)
    cases = cases_of(found.directory)
    with recording(found.directory, settings.socket) as recorder:
        desk = Desk(cases, recorder, "kim")
        for id in ("A", "B"):
            desk.open_case("a complaint", id)
            folder = captured_folder(tmp_path, id)
            folder.mkdir(parents=True)
            for name in ("1.age", "2.age"):
                (folder / name).write_bytes(b"x")
        (folder / "3.new").write_bytes(b"x")
        desk.close("B", "done")
    return found


def left(keeping: Keeping) -> list[str]:
    return sorted(f"{path.parent.name}/{path.name}"
                  for path in keeping.data.glob("captured/*/*"))


def acts(keeping: Keeping) -> list[tuple[object, object]]:
    found = (fields(each.envelope) for each in read_all(keeping.directory))
    return [(each.get("outbounds.case"), each.get("outbounds.count")) for each in found
            if each["event.action"] == "capture.removed" and each["event.type"] == "start"]


def test_only_what_is_over_goes(keeping: Keeping) -> None:
    run(replace(keeping, now=keeping.now + 89 * DAY))
    assert len(left(keeping)) == 5 and acts(keeping) == []
    run(replace(keeping, now=keeping.now + 91 * DAY))
    assert left(keeping) == ["A/1.age", "A/2.age"]
    assert acts(keeping) == [("B", 3)]
    run(replace(keeping, now=keeping.now + 92 * DAY))  # nothing to do is not put on record
    assert len(acts(keeping)) == 1


def test_nothing_goes_without_a_record(keeping: Keeping) -> None:
    (keeping.directory / "log" / "keys").unlink()  # no collector can start like this
    with pytest.raises(KeeperFault, match="nothing that was captured is removed"):
        run(replace(keeping, now=keeping.now + 91 * DAY))
    assert len(left(keeping)) == 5


def test_a_case_that_cannot_be_read_stops_it(keeping: Keeping) -> None:
    (keeping.directory / "cases" / "A" / "custody.jsonl").write_bytes(b"{}\n")
    with pytest.raises(KeeperFault, match="custody"):
        run(replace(keeping, now=keeping.now + 91 * DAY))
    assert len(left(keeping)) == 5


def test_without_a_configuration_nothing_is_known(keeping: Keeping) -> None:
    run(replace(keeping, settings=None, now=keeping.now + 91 * DAY))
    assert len(left(keeping)) == 5
