"""Fixtures of the command line: a model that answers at once, and a small table."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from oracles.fake_model import TABLE, FakeModel


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeModel]:
    module = ModuleType("rstime.model")
    module.__dict__["RiskDiffusion"] = FakeModel
    monkeypatch.setitem(sys.modules, "rstime.model", module)
    monkeypatch.setattr(FakeModel, "calls", {})
    monkeypatch.setattr(FakeModel, "fail", None)
    return FakeModel


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path
