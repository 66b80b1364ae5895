from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket import Bucket, s3, sealed_log
from written import Written


@pytest.fixture(scope="package")
def endpoint() -> Iterator[str]:
    with s3() as found:
        yield found


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> Bucket:
    return Bucket(endpoint, tmp_path)


@pytest.fixture(scope="package")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Made once; each test has a copy."""
    return sealed_log(tmp_path_factory.mktemp("sealed") / "evidence")


@pytest.fixture
def log(sealed: Written, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(sealed.directory, tmp_path / "evidence"))
