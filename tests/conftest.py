"""Shared fixtures: where the real data lies, and hypothesis profiles for loaded machines.

`quiet` runs the same examples each time, `--hypothesis-profile=random` others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quiet", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.register_profile("random", settings.get_profile("quiet"), derandomize=False, print_blob=True)
settings.load_profile("quiet")

_MAY_BE_ABSENT = ("real data is absent", "the schema is absent")
"""How the reason of a skip begins that is right even where every tool is installed."""

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
    """With CHUNKVOL_CI set, this is Linux with every tool installed: whoever skips for want of one has failed."""
    if os.environ.get("CHUNKVOL_CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(_MAY_BE_ABSENT):
            report.outcome, report.longrepr = "failed", f"{reason} (CHUNKVOL_CI promises that nothing is missing)"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    return _fail_where_tools_are_promised((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return _fail_where_tools_are_promised((yield))
