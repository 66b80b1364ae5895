"""Completion: scripts for three shells, and words that fit what was typed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from outbounds.cli import COMMANDS, main


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which the command is installed, as the wheel would install it."""
    script = tmp_path / "outbounds"
    script.write_text(f"#!{sys.executable}\nfrom outbounds.cli import main\nmain()\n")
    script.chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


def environment(path: str, **more: str) -> dict[str, str]:
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), **more}


@pytest.mark.parametrize(("shell", "words"), [
    ("bash", ["COMP_WORDS", "complete -o nosort -F"]), ("zsh", ["#compdef outbounds", "compdef"]),
    ("fish", ["complete --no-files --command outbounds"])])
def test_a_script_for_each_shell(shell: str, words: list[str]) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0 and f"_OUTBOUNDS_COMPLETE={shell}_complete" in result.output
    assert all(word in result.output for word in words)


def test_no_other_shell() -> None:
    result = CliRunner().invoke(main, ["completion", "tcsh"])
    assert result.exit_code == 2 and "'tcsh' is not one of" in result.output


def in_bash(path: str, *words: str) -> list[str]:
    """What bash offers after `words`, the last of which is being typed."""
    typed = " ".join(f"'{word}'" for word in ("outbounds", *words))
    script = ('eval "$(outbounds completion bash)"\n'
              f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}\n"
              "_outbounds_completion outbounds\n"
              'printf "%s\\n" "${COMPREPLY[@]}"\n')
    done = subprocess.run(["bash", "-c", script], env=environment(path), capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def bash_is_new_enough() -> bool:
    bash = shutil.which("bash")
    if bash is None:
        return False
    said = subprocess.run([bash, "-c", "echo ${BASH_VERSINFO[0]}.${BASH_VERSINFO[1]}"],
                          capture_output=True, text=True, check=False).stdout
    found = re.match(r"(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= (4, 4)


@pytest.mark.skipif(not bash_is_new_enough(), reason="needs bash 4.4 or newer")
def test_it_completes_in_bash(path: str) -> None:
    assert in_bash(path, "ev") == ["evidence"]
    assert in_bash(path, "accounts", "sus") == ["suspend"]
    assert set(in_bash(path, "accounts", "set-")) == {
        "set-password", "set-plan", "set-inspect", "set-crawler", "set-purposes"}
    assert in_bash(path, "serve", "--ver") == ["--verbose"]
    assert in_bash(path, "completion", "z") == ["zsh"]
    assert set(in_bash(path, "")) == set(COMMANDS)


@pytest.mark.parametrize(("shell", "first"), [("zsh", "plain\naccounts\n"),
                                              ("fish", "plain,accounts\t")])
def test_it_answers_the_other_shells(path: str, shell: str, first: str) -> None:
    """Their scripts ask in this way; the shells themselves need not be here."""
    done = subprocess.run(
        ["outbounds"], capture_output=True, text=True, timeout=30, check=False,
        env=environment(path, _OUTBOUNDS_COMPLETE=f"{shell}_complete",
                        COMP_WORDS="outbounds acc", COMP_CWORD="acc" if shell == "fish" else "1"))
    assert done.returncode == 0 and done.stdout.startswith(first), (done.stdout, done.stderr)


def test_completing_loads_no_proxy(path: str) -> None:
    """It runs at every press of the tab key."""
    code = ("import sys\nfrom outbounds.cli import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
            "assert not {name for name in sys.modules if name.split('.')[0] in "
            "('mitmproxy', 'aiohttp', 'pydantic')}\n")
    done = subprocess.run([sys.executable, "-c", code], env=environment(path), timeout=30,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert name in done.stdout
