"""Fixtures and habits of all tests: real data, one thread, reproducible property tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before torch and numpy are imported: small tests are faster on one thread, and their sums then have one order.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("RSTIME_OFFLINE", "1")

import hypothesis  # noqa: E402
import pytest  # noqa: E402

if TYPE_CHECKING:
    from rstime.model import RiskDiffusion

hypothesis.settings.register_profile("rstime", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.load_profile("rstime")

REPOSITORY = Path(__file__).resolve().parents[1]


def data_root() -> Path | None:
    """Return the folder with real data: RSTIME_DATA, or ../shared/data where it exists."""
    chosen = os.environ.get("RSTIME_DATA")
    root = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    return root if root.is_dir() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    root = data_root()
    if root is None:
        pytest.skip("real data: set RSTIME_DATA to the folder that holds them")
    return root


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def models() -> dict[str, RiskDiffusion]:
    from oracles.models import gaussian_model, outspoken

    gaussian = gaussian_model()
    return {"gaussian": gaussian, "diffusion": outspoken(gaussian)}


@pytest.fixture
def model(request: pytest.FixtureRequest, models: dict[str, RiskDiffusion]) -> RiskDiffusion:
    """A fitted model, Gaussian unless `oracles.models.kinds` asks for others."""
    return models[getattr(request, "param", "gaussian")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where real data are at hand nothing may be skipped: a skip there would hide a test."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and data_root() is not None:
        report.outcome, report.longrepr = "failed", f"skipped although data are there: {report.longrepr}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked gpu where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        items[:] = [item for item in items if item not in marked]
        config.hook.pytest_deselected(items=marked)
