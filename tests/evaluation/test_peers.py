"""The subprocess of PyPOTS: a stand-in package shows what travels there and back."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rstime.errors import PackageError
from rstime.evaluation.baselines import Settings
from rstime.evaluation.methods import METHODS
from rstime.evaluation.protocol import Task
from rstime.evaluation.treatments import treat
from rstime.types import Series

STAND_IN = """
import numpy as np
class Mean:
    def __init__(self, n_steps, n_features, epochs, **others):
        self.epochs = epochs
    def fit(self, data):
        self.mean = np.nanmean(data["X"], axis=(0, 1))
        self.shape = data["X"].shape
    def predict(self, data, n_sampling_times=0):
        x = np.where(np.isnan(data["X"]), self.mean, data["X"])
        return {"imputation": np.stack([x + k for k in range(n_sampling_times)], 1) if n_sampling_times else x}
SAITS = BRITS = CSDI = Mean
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    package = tmp_path / "pypots"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "imputation.py").write_text(STAND_IN)
    (tmp_path / "torch.py").write_text("def manual_seed(seed): pass\n__version__ = '0'\n")
    (tmp_path / "pypots-1.dist-info").mkdir()
    (tmp_path / "pypots-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pypots\nVersion: 1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RSTIME_PEERS", sys.executable)


def question():
    rng = np.random.default_rng(0)
    value = 100 + 10 * rng.normal(size=(40, 2))
    risk = np.where(rng.random(value.shape) < 0.3, np.inf, np.where(rng.random(value.shape) < 0.5, 5.0, 0.0))
    item = Series("i", np.arange(40.0), ("a", "b"), value, risk)
    nothing = [np.zeros(value.shape, dtype=bool)]
    return Task("t", [item], [], [item], [value], [~item.observed], nothing, window=16, step=1.0)


def test_a_relative_path_of_the_interpreter_is_found(installed, monkeypatch):
    interpreter = Path(sys.executable)
    monkeypatch.chdir(interpreter.parent)
    monkeypatch.setenv("RSTIME_PEERS", interpreter.name)
    (answer,) = METHODS["brits"].answers["keep"](treat(question(), "keep"), Settings(minutes=0.001))
    assert answer.samples.shape == (1, 40, 2)


@pytest.mark.parametrize("treatment", ["keep", "drop", "covariate"])
def test_windows_travel_there_and_back_in_their_units(installed, treatment):
    task = treat(question(), treatment)
    (answer,) = METHODS["saits"].answers[treatment](task, Settings(minutes=0.001, samples=5))
    item = task.test[0]
    assert answer.samples.shape == (1, 40, 2)
    np.testing.assert_allclose(answer.samples[0][item.observed], item.value[item.observed], rtol=1e-5)
    lost = answer.samples[0][~item.observed]
    assert np.abs(lost - 100).max() < 6  # the mean of the training windows
    assert lost.std() < 3


def test_samples_of_csdi_come_back_as_samples(installed):
    task = treat(question(), "keep")
    (answer,) = METHODS["csdi"].answers["keep"](task, Settings(minutes=0.001, samples=5))
    scale = np.nanstd(task.train[0].value, axis=0)
    assert answer.samples.shape == (5, 40, 2)
    np.testing.assert_allclose(np.diff(answer.samples, axis=0), np.broadcast_to(scale, (4, 40, 2)), rtol=1e-4)


def test_an_absent_environment_and_a_failure_name_the_remedy(installed, monkeypatch, tmp_path):
    (tmp_path / "pypots" / "imputation.py").write_text("raise ValueError('broken inside')")
    with pytest.raises(PackageError, match=r"saits failed \(ValueError: broken inside\)"):
        next(METHODS["saits"].answers["keep"](question(), Settings()))
    monkeypatch.setenv("RSTIME_PEERS", str(tmp_path / "none"))
    with pytest.raises(PackageError, match="make peers"):
        next(METHODS["saits"].answers["keep"](question(), Settings()))
