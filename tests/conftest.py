"""Shared fixtures: where the real data lies, and a hypothesis profile for loaded machines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quiet", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("quiet")

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "visible"


@pytest.fixture(scope="session")
def visible() -> Path:
    """The folder of real data with expected answers; tests skip where it is absent."""
    folder = Path(os.environ.get("CHUNKVOL_TEST_DATA", _BESIDE))
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder} (set CHUNKVOL_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def expected(visible: Path) -> Any:
    """The expected answers, as JSON."""
    return json.loads((visible / "expected.json").read_text())
