from __future__ import annotations

from pathlib import Path

import pytest
from casework import Casework


@pytest.fixture
def casework(tmp_path: Path) -> Casework:
    return Casework(tmp_path / "cases")
