"""evidence.yaml alone, for a process that keeps the log and decides on no request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .evidence import Evidence
from .fields import Context
from .loader import need_folder
from .messages import validate
from .problem import SettingsError
from .service import Service
from .source import read_yaml


def load_evidence(config_dir: Path) -> tuple[Path, Evidence]:
    """(the folder of the run data, what evidence.yaml says).

    Raises SettingsError with every fault of outbounds.yaml, which says where the data are, and of
    evidence.yaml.
    """
    need_folder(config_dir)
    first, second = (read_yaml(config_dir / name, str(config_dir / name))
                     for name in ("outbounds.yaml", "evidence.yaml"))
    context = Context(config_dir, config_dir.absolute() / "var", {
        "plan": None, "limit": None, "list": None, "clause": None}, {})
    service = validate(first, Service, context)
    if service is not None:
        context = replace(context, data=service.data)
    evidence = validate(second, Evidence, context)
    problems = (*first.problems, *second.problems)
    if problems:
        raise SettingsError(problems, (first.path, second.path))
    assert service and evidence
    return service.data, evidence
