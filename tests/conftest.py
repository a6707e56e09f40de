"""Shared fixtures: where the real data lies, and a hypothesis profile for loaded machines."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quiet", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("quiet")

_MISSING = ("tool is missing", "could not import")
"""How the reason of a skip begins when a program or a package is not installed."""

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


def _fail_where_tools_are_promised(report: Any) -> Any:
    """With CHUNKVOL_CI set, everything is installed: a test that found a tool missing has failed."""
    if os.environ.get("CHUNKVOL_CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(_MISSING):
            report.outcome, report.longrepr = "failed", f"{reason} (CHUNKVOL_CI promises that it is here)"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    return _fail_where_tools_are_promised((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return _fail_where_tools_are_promised((yield))
