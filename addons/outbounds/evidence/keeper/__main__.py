"""One pass as a process: `python -m outbounds.evidence.keeper --dir DIR [--config DIR]`.

Exit status 0: everything is done, or another pass is at it. 1: a task had a fault, which standard
error has and kept.json, too.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from ...settings import SettingsError
from ...settings.evidence import Evidence
from ...settings.evidence_file import load_evidence
from .lock import KeeperBusy, kept_alone
from .one_pass import one_pass, stand_back


def say(text: str) -> None:
    """One line for the operator, on standard error, which may be on the disk that is full."""
    with suppress(OSError):
        os.write(2, f"evidence keeper: {text}\n".encode("utf-8", "backslashreplace"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m outbounds.evidence.keeper",
                                     description="Seals the evidence log, and keeps it.")
    parser.add_argument("--dir", type=Path, required=True, help="directory of the log")
    parser.add_argument("--config", type=Path, help="folder of the configuration, for everything "
                                                    "but sealing")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    stand_back()
    data, settings, fine = options.dir.parent, None, True
    if options.config is not None:
        data, settings = _settings(options.config, data)
        fine = settings is not None
    try:
        with kept_alone(options.dir):
            return 0 if one_pass(options.dir, data, settings, say) and fine else 1
    except KeeperBusy:
        return 0
    except OSError as error:
        say(str(error))
        return 1


def _settings(folder: Path, data: Path) -> tuple[Path, Evidence | None]:
    """Where the data are and what evidence.yaml says; None where it is broken: sealing goes on."""
    try:
        return load_evidence(folder)
    except SettingsError as error:
        say(f"{error}; only sealing goes on until this is mended")
        return data, None


if __name__ == "__main__":
    sys.exit(main())
