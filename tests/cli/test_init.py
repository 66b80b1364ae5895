"""`outbounds init`: the same files from a source tree and from the wheel, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from outbounds.cli.init import SINGLE, init, starter_files
from outbounds.lists.rules_file import parse_rules
from outbounds.settings import load

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = dict(starter_files(ROOT / "config"))


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_what_it_writes_is_config_and_is_good(tmp_path: Path) -> None:
    target = tmp_path / "new/config"
    result = CliRunner().invoke(init, [str(target)])
    assert result.exit_code == 0, result.output
    assert written(target) == SHIPPED
    assert load(target, parse_rules).policy.version == load(ROOT / "config",
                                                            parse_rules).policy.version


def test_it_overwrites_nothing_and_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("mine")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/blocked.txt").write_text("mine, too")
    result = CliRunner().invoke(init, [str(tmp_path)])
    assert result.exit_code == 1
    assert "limits.yaml, lists/blocked.txt; choose another folder" in result.output
    assert written(tmp_path) == {"limits.yaml": b"mine", "lists/blocked.txt": b"mine, too"}


def test_run_data_is_never_part_of_it(tmp_path: Path) -> None:
    used = tmp_path / "config"
    for name, content in SHIPPED.items():
        (used / name).parent.mkdir(parents=True, exist_ok=True)
        (used / name).write_bytes(content)
    (used / "var").mkdir()
    (used / "var/accounts.db").write_text("secret")
    (used / "aup/.draft.yaml").write_text("draft")
    (used / "lists/blocked.txt~").write_text("backup")
    assert dict(starter_files(used)) == SHIPPED


def test_every_starter_file_is_named_for_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {f"config/{name}": f"outbounds/starter/{name}"
                        for name in (*SINGLE, "aup", "lists")}


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds the wheel")
def test_the_wheel_holds_only_the_package_and_writes_the_same_files(tmp_path: Path) -> None:
    subprocess.run(["uv", "build", "--wheel", "--quiet", "--python", sys.executable,
                    "--out-dir", tmp_path, ROOT], check=True)
    wheel, = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        archive.extractall(tmp_path / "site")
    assert {top for top in tops if not top.endswith(".dist-info")} == {"outbounds"}
    subprocess.run(
        [sys.executable, "-c", "from outbounds.cli.init import init; init()", "made"],
        cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")})
    assert written(tmp_path / "made") == SHIPPED
    assert written(tmp_path / "site/outbounds/starter") == SHIPPED
