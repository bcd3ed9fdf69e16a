"""The subprocess of PyPOTS: a stand-in package shows what travels there and back, and what time there is to train."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rstime.errors import PackageError
from rstime.evaluation import peers, peers_worker
from rstime.evaluation.baselines import Settings
from rstime.evaluation.methods import METHODS
from rstime.evaluation.protocol import Task
from rstime.evaluation.treatments import treat
from rstime.types import Series

STAND_IN = """
import json, pathlib, time
import numpy as np
class State(dict):
    state_dict = dict.copy
    load_state_dict = dict.update
class Mean:
    def __init__(self, n_steps, n_features, batch_size, epochs, optimizer, **others):
        self.batch, self.epochs, self.step, self.model = batch_size, epochs, optimizer, State(shift=1.0)
    def fit(self, train, val=None):
        self._train_model(train, val)
        self.model.load_state_dict(self.best_model_dict)
    def _train_model(self, train, val=None):
        self.best_model_dict = {"shift": 0.0}
        self.mean = np.nanmean(train["X"], axis=(0, 1))
        hidden = val and int((np.isnan(val["X"]) & ~np.isnan(val["X_ori"])).sum())
        log = {"train": train["X"].shape, "hidden": hidden}
        pathlib.Path(__file__).with_name("log.json").write_text(json.dumps(log))
        try:
            for self.best_epoch in range(self.epochs):
                for _ in range(0, len(train["X"]), self.batch):
                    time.sleep(0.001)
                    self.step(0)
        except KeyboardInterrupt:
            pass
    def predict(self, data, n_sampling_times=0):
        x = np.where(np.isnan(data["X"]), self.mean, data["X"])
        x = np.where(np.isnan(data["X"]), x + self.model["shift"], x)
        found = np.stack([x + k for k in range(n_sampling_times)], 1) if n_sampling_times else x
        return {"imputation": found, "reconstruction": (found + self.mean) / 2}
SAITS = BRITS = CSDI = Mean
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    package = tmp_path / "pypots"
    (package / "optim").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "imputation.py").write_text(STAND_IN)
    (package / "optim" / "__init__.py").write_text("def Adam(lr, lr_scheduler): return lr_scheduler\n")
    (package / "optim" / "lr_scheduler.py").write_text("def LambdaLR(rate): return rate\n")
    torch = "def manual_seed(seed): pass\ndef set_num_threads(n): assert n == 3\n__version__ = '0'\n"
    (tmp_path / "torch.py").write_text(torch)
    (tmp_path / "pypots-1.dist-info").mkdir()
    (tmp_path / "pypots-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pypots\nVersion: 1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RSTIME_PEERS", sys.executable)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    return package


def question():
    rng = np.random.default_rng(0)
    value = 100 + 10 * rng.normal(size=(40, 2))
    risk = np.where(rng.random(value.shape) < 0.3, np.inf, np.where(rng.random(value.shape) < 0.5, 5.0, 0.0))
    item = Series("i", np.arange(40.0), ("a", "b"), value, risk)
    nothing = [np.zeros(value.shape, dtype=bool)]
    return Task("t", [item], [item], [item], [value], [~item.observed], nothing, window=16, step=1.0)


def test_a_relative_path_of_the_interpreter_is_found(installed, monkeypatch):
    interpreter = Path(sys.executable)
    monkeypatch.chdir(interpreter.parent)
    monkeypatch.setenv("RSTIME_PEERS", interpreter.name)
    (answer,) = METHODS["brits"].answers["keep"](treat(question(), "keep"), Settings(minutes=0.001))
    assert answer.samples.shape == (1, 40, 2)


@pytest.mark.parametrize("treatment", ["keep", "drop", "covariate"])
def test_windows_travel_there_and_back_in_their_units_and_readings_are_reconstructed(installed, treatment):
    task = treat(question(), treatment)
    (answer,) = METHODS["saits"].answers[treatment](task, Settings(minutes=0.001, samples=5))
    item = task.test[0]
    assert answer.samples.shape == (1, 40, 2)
    pieces = np.concatenate([item.value[start : start + 16] for start in (0, 8, 16, 24)])
    half = (item.value + np.nanmean(pieces, axis=0)) / 2  # with the mean of the training windows
    np.testing.assert_allclose(answer.samples[0][item.observed], half[item.observed], rtol=1e-5)
    mean = np.broadcast_to(np.nanmean(pieces, axis=0), item.value.shape)
    np.testing.assert_allclose(answer.samples[0][~item.observed], mean[~item.observed], rtol=1e-5)


def test_samples_of_csdi_come_back_as_samples_of_its_last_weights_and_readings_as_they_are(installed):
    task = treat(question(), "keep")
    (answer,) = METHODS["csdi"].answers["keep"](task, Settings(minutes=0.001, samples=5))
    item, scale = task.test[0], np.nanstd(task.train[0].value, axis=0)
    assert answer.samples.shape == (5, 40, 2)
    np.testing.assert_allclose(np.diff(answer.samples, axis=0), np.broadcast_to(scale, (4, 40, 2)), rtol=1e-4)
    np.testing.assert_allclose(answer.samples[0][item.observed], item.value[item.observed], rtol=1e-5)
    pieces = np.concatenate([item.value[start : start + 16] for start in (0, 8, 16, 24)])
    last = np.broadcast_to(np.nanmean(pieces, axis=0) + scale, item.value.shape)  # the best ones would not be shifted
    np.testing.assert_allclose(answer.samples[0][~item.observed], last[~item.observed], rtol=1e-5)


def test_the_run_is_told_what_training_took_and_validation_data_choose_for_all_but_csdi(installed):
    task, settings = question(), Settings(minutes=0.002)
    list(peers.peer(task, settings, "saits"))
    facts = dict(settings.facts)
    assert 0.12 <= facts.pop("fit_seconds") < 10
    assert 0 <= facts.pop("fit_cpu_seconds") < 1
    assert 0 <= facts.pop("answer_seconds") < 10
    assert facts.pop("epochs") == facts.pop("best_epoch") > 1
    assert facts == {"windows": 4, "windows_left_out": 0, "peer_versions": "pypots 1, torch 0"}
    log = json.loads((installed / "log.json").read_text())
    readings = int(np.isfinite(task.train[0].value).sum())
    assert log["train"] == [4, 16, 2]
    assert 0.1 * readings < log["hidden"] < 0.3 * readings
    for other, name in ((replace(task, validation=[]), "saits"), (task, "csdi")):
        list(peers.peer(other, settings, name))
        assert json.loads((installed / "log.json").read_text())["hidden"] is None


def test_windows_begin_at_every_stride_and_the_last_one_is_filled_up():
    first, second = np.arange(10.0)[:, None], 100 + np.arange(3.0)[:, None]
    found, places = peers.windows([first, second], 4, 4)
    gap = np.nan
    rows = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, gap, gap], [100, 101, 102, gap]]
    np.testing.assert_array_equal(found[..., 0], rows)
    assert places == [0, 0, 0, 1]
    found, places = peers.windows([first], 4, 2)
    np.testing.assert_array_equal(found[:, 0, 0], [0, 2, 4, 6])
    assert places == [0] * 4


def test_a_fifth_of_the_readings_is_hidden_with_its_risk():
    whole = np.concatenate([np.full((50, 20, 3), 7.0), np.full((50, 20, 3), 2.0)], axis=2)
    shown = peers.hide(whole, 3, np.random.default_rng(0))
    gone = np.isnan(shown[..., :3])
    assert gone.mean() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(shown[..., 3:], np.where(gone, 0.0, 2.0))
    assert (whole == np.array([7.0] * 3 + [2.0] * 3)).all()


@pytest.mark.parametrize(
    ("windows", "batch_seconds", "seconds", "expected"),
    [
        (359, 3.0, 3600.0, 359),
        (359, 3.0, 18.0, 192),
        (359, 3.0, 20.9, 192),
        (359, 100.0, 18.0, 32),
        (20, 100.0, 18.0, 20),
    ],
)
def test_an_epoch_has_as_many_windows_as_fit(windows, batch_seconds, seconds, expected):
    assert peers_worker.affordable(windows, batch_seconds, seconds) == expected


@pytest.mark.parametrize(
    ("windows", "seconds", "facts"),
    [
        # three seconds a batch: a step ends the training when 102 of 100 seconds are spent, the 34th of two an epoch
        (64, 100.0, {"fit_seconds": 102.0, "epochs": 16, "windows": 64, "windows_left_out": 0}),
        # six batches fit: the epoch ends with the time, and the next step of it is the last
        (359, 18.0, {"fit_seconds": 21.0, "epochs": 1, "windows": 192, "windows_left_out": 167}),
        # not even one fits: the first epoch is finished all the same
        (359, 1.0, {"fit_seconds": 6.0, "epochs": 1, "windows": 32, "windows_left_out": 327}),
    ],
)
def test_training_ends_with_the_budget_and_the_rate_falls_before(monkeypatch, windows, seconds, facts):
    now, rates = [0.0], []
    clock = SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: now[0] / 2)
    monkeypatch.setattr(peers_worker, "time", clock)

    class Slow:
        best_epoch = 1

        def __init__(self, name, steps, features, budget, epochs=peers_worker.EPOCHS):
            self.budget, self.epochs = budget, epochs
            budget(0)  # a schedule may ask once before the training

        def fit(self, train):
            rates.clear()
            try:
                for _ in range(self.epochs):
                    for _ in range(0, len(train["X"]), peers_worker.BATCH):
                        now[0] += 3.0
                        rates.append(self.budget(0))
            except KeyboardInterrupt:
                return

    monkeypatch.setattr(peers_worker, "model", Slow)
    parts = {"train": np.zeros((windows, 4, 2)), "whole": np.zeros((0, 4, 2)), "chosen": np.zeros((0, 4, 2))}
    found = {}
    peers_worker.train({"model": "saits", "seconds": seconds, "seed": 0}, parts, found)
    assert found == facts | {"best_epoch": 1, "fit_cpu_seconds": facts["fit_seconds"] / 2}
    if windows == 64:  # 75 seconds are spent after step 25, 90 after step 30
        assert rates == [1.0] * 24 + [0.1] * 5 + [0.01] * 4


def test_an_absent_environment_and_a_failure_name_the_remedy(installed, monkeypatch, tmp_path):
    (tmp_path / "pypots" / "imputation.py").write_text("raise ValueError('broken inside')")
    with pytest.raises(PackageError, match=r"saits failed \(ValueError: broken inside\)"):
        next(METHODS["saits"].answers["keep"](question(), Settings()))
    monkeypatch.setenv("RSTIME_PEERS", str(tmp_path / "none"))
    with pytest.raises(PackageError, match="make peers"):
        next(METHODS["saits"].answers["keep"](question(), Settings()))
