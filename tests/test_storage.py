"""Folders of weights and settings: written whole or not at all, checked before use, no code in them."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from oracles.series import two_levels
from rstime import storage
from rstime.errors import ModelFileError
from rstime.gaussian_fit import GaussianConfig
from rstime.model import RiskDiffusion
from rstime.storage import CONFIG, WEIGHTS, read_config, read_tensors, write_folder
from rstime.training import TrainingConfig
from rstime.types import Series

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b/c": torch.tensor(7), "view": torch.arange(8.0)[::2]}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "new" / "m", TENSORS, {"x": [1, 2.5], "y": {"z": None}})
    assert read_config(tmp_path / "new" / "m") == {"format": storage.FORMAT, "x": [1, 2.5], "y": {"z": None}}
    found = read_tensors(tmp_path / "new" / "m")
    assert set(found) == set(TENSORS)
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)
    assert sorted(files(tmp_path)) == [f"new/m/{CONFIG}", f"new/m/{WEIGHTS}"]


def test_numbers_survive_to_the_bit(tmp_path: Path) -> None:
    numbers = [0.1, 1 / 3, 1e-300, 2.0**-1074, 1e308, math.inf, -math.inf, math.nan]
    write_folder(tmp_path / "m", {}, {"numbers": numbers})
    assert [repr(x) for x in read_config(tmp_path / "m")["numbers"]] == [repr(x) for x in numbers]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    write_folder(tmp_path / "one", TENSORS, {"b": 1, "a": 2})
    write_folder(tmp_path / "two", dict(reversed(TENSORS.items())), {"a": 2, "b": 1})
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "m", TENSORS, {"x": 1})
    write_folder(tmp_path / "m", {"a": torch.zeros(1)}, {"x": 2})
    assert sorted(files(tmp_path)) == [f"m/{CONFIG}", f"m/{WEIGHTS}"]
    assert read_config(tmp_path / "m")["x"] == 2


def a_file(path: Path) -> None:
    path.write_text("a,b")


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "keep.txt").write_text("mine")


def of_another_program(path: Path) -> None:
    path.mkdir()
    (path / CONFIG).write_text('{"architectures": ["Bert"]}')
    (path / "pytorch_model.bin").write_text("weights")


def a_config_alone(path: Path) -> None:
    path.mkdir()
    (path / CONFIG).write_text('{"architectures": ["Bert"]}')


def weights_alone(path: Path) -> None:
    path.mkdir()
    (path / WEIGHTS).write_text("weights")


def a_model_and_notes(path: Path) -> None:
    write_folder(path, TENSORS, {"x": 1})
    (path / "notes.txt").write_text("mine")
    (path / "plots").mkdir()


def a_folder_aside(path: Path) -> None:
    a_folder(path.with_name(f".{path.name}-old"))


def a_link(path: Path) -> None:
    a_folder(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (a_file, "m exists and is a file."),
        (a_folder, "m exists and holds 'keep.txt'."),
        (of_another_program, "m exists and holds 'pytorch_model.bin'."),
        (a_config_alone, "m exists and its config.json is not that of a model of format 1."),
        (weights_alone, "m exists and holds 'weights.safetensors' without config.json."),
        (a_model_and_notes, "m exists and holds 'notes.txt' and 1 more."),
        (a_folder_aside, ".m-old exists and holds 'keep.txt'."),
        (a_link, "m exists and holds 'keep.txt'."),
    ],
)
def test_what_is_no_model_is_never_replaced(tmp_path: Path, make: Callable[[Path], None], problem: str) -> None:
    make(tmp_path / "m")
    before = files(tmp_path)
    with pytest.raises(ModelFileError, match="another name") as caught:
        write_folder(tmp_path / "m", TENSORS, {"x": 2})
    assert f"/{problem} Only a model is replaced" in str(caught.value)
    assert files(tmp_path) == before
    assert not any("-old" in path.name for path in tmp_path.iterdir() if make is not a_folder_aside)


def test_an_empty_folder_a_link_to_a_model_and_the_users_own_folder_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "m")
    write_folder(tmp_path / "m", TENSORS, {"x": 1})
    write_folder(tmp_path / "link", TENSORS, {"x": 2})
    assert (tmp_path / "link").is_symlink()
    assert read_config(Path("~/m"))["x"] == 2
    write_folder(Path("~/n"), TENSORS, {"x": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "m", "n"]
    assert set(read_tensors(Path("~/n"))) == set(TENSORS)


def test_the_folder_one_works_in_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match=r"model: \. is the folder you work in\. Name a folder"):
        write_folder(Path("."), TENSORS, {"x": 2})


def test_half_of_an_old_model_that_stood_aside_is_cleared_away(tmp_path: Path) -> None:
    """A program that is killed while it removes the old folder leaves one file of it."""
    write_folder(tmp_path / "m", TENSORS, {"x": 1})
    shutil.copytree(tmp_path / "m", tmp_path / ".m-old")
    (tmp_path / ".m-old" / CONFIG).unlink()
    write_folder(tmp_path / "m", TENSORS, {"x": 2})
    assert sorted(files(tmp_path)) == [f"m/{CONFIG}", f"m/{WEIGHTS}"]


class Full(OSError):
    """No space left on the device."""


@pytest.mark.parametrize("where", ["save_file", "json.dumps", "os.replace"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, existing: bool
) -> None:
    if existing:
        write_folder(tmp_path / "m", TENSORS, {"x": 1})
    before = files(tmp_path)

    def fail(*arguments: Any, **keywords: Any) -> None:
        raise Full

    monkeypatch.setattr(f"rstime.storage.{where}", fail)
    with pytest.raises(Full):
        write_folder(tmp_path / "m", {"a": torch.zeros(1)}, {"x": 2})
    assert files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["m"] if existing else [])


def test_a_failure_between_old_and_new_puts_the_old_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old folder is moved away, then the new one cannot be moved in."""
    write_folder(tmp_path / "m", TENSORS, {"x": 1})
    before, replace, calls = files(tmp_path), os.replace, []

    def fail_second(source: Path, destination: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise Full
        replace(source, destination)

    monkeypatch.setattr("rstime.storage.os.replace", fail_second)
    with pytest.raises(Full):
        write_folder(tmp_path / "m", {"a": torch.zeros(1)}, {"x": 2})
    assert files(tmp_path) == before


@pytest.mark.parametrize("killed", [1, 2, 3])
def test_a_kill_at_any_rename_loses_nothing(tmp_path: Path, killed: int) -> None:
    """What is there afterwards is the old folder, or the new one, and later writes leave nothing else."""
    write_folder(tmp_path / "m", TENSORS, {"x": 1})
    code = f"""
import os
from pathlib import Path
from rstime import storage

calls = []

def count(done):
    def act(*arguments, **keywords):
        calls.append(done)
        if len(calls) == {killed}:
            os._exit(9)
        return done(*arguments, **keywords)
    return act

storage.os.replace = count(os.replace)
storage.shutil.rmtree = count(storage.shutil.rmtree)
storage.write_folder(Path({str(tmp_path / "m")!r}), {{}}, {{"x": 2}})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert read_config(tmp_path / "m")["x"] == 1
    assert set(read_tensors(tmp_path / "m")) == set(TENSORS)
    write_folder(tmp_path / "m", {}, {"x": 3})
    assert read_config(tmp_path / "m")["x"] == 3
    assert not (tmp_path / ".m-old").exists()


def test_what_cannot_be_json_is_refused_before_anything_is_replaced(tmp_path: Path) -> None:
    write_folder(tmp_path / "m", TENSORS, {"x": 1})
    before = files(tmp_path)
    with pytest.raises(TypeError):
        write_folder(tmp_path / "m", {}, {"x": np.zeros(2)})
    assert files(tmp_path) == before


# ---- damaged, missing and alien files -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small diffusion model of two variables."""
    training = TrainingConfig(batch=16, learning_rate=1e-3, warmup=5, validations=3, validation_batches=2, ema=0.9)
    model = RiskDiffusion(
        size="tiny", window=12, gaussian=GaussianConfig(steps=40, tokens=60, moments=16), training=training
    )
    model.fit(two_levels(1, 300), steps=15, seed=1, progress=False)
    path = tmp_path_factory.mktemp("models") / "m"
    model.save(path)
    assert json.loads((path / CONFIG).read_text())["network"]
    return path


def edit(**changes: Any) -> Callable[[Path], None]:
    """Change settings, by path of keys joined by "__"; a value of ... removes the entry."""

    def change(path: Path) -> None:
        config = json.loads((path / CONFIG).read_text())
        for keys, value in changes.items():
            *above, last = keys.split("__")
            place = config
            for key in above:
                place = place[key]
            if value is ...:
                del place[last]
            else:
                place[last] = value
        (path / CONFIG).write_text(json.dumps(config))

    return change


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: (path / name).write_bytes(content) and None  # type: ignore[func-returns-value]


def cut(name: str, share: float) -> Callable[[Path], None]:
    return lambda path: write(name, (path / name).read_bytes()[: int(share * (path / name).stat().st_size)])(path)


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        state = load_file(path / WEIGHTS)
        change(state)
        save_file(state, path / WEIGHTS)

    return apply


def first_to_nan(state: dict[str, torch.Tensor]) -> None:
    state["network.head.weight"][0, 0] = math.nan


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "no config": lambda path: (path / CONFIG).unlink(),
    "no weights": lambda path: (path / WEIGHTS).unlink(),
    "no folder": shutil.rmtree,
    "config cut short": cut(CONFIG, 0.7),
    "weights cut short": cut(WEIGHTS, 0.7),
    "header cut short": cut(WEIGHTS, 0.001),
    "empty config": write(CONFIG, b""),
    "empty weights": write(WEIGHTS, b""),
    "binary config": write(CONFIG, b"\xff\xfe\x00"),
    "config a list": write(CONFIG, b"[1, 2]"),
    "config of another program": write(CONFIG, b'{"model_type": "bert"}'),
    "config a folder": lambda path: ((path / CONFIG).unlink(), (path / CONFIG).mkdir()),
    "weights a folder": lambda path: ((path / WEIGHTS).unlink(), (path / WEIGHTS).mkdir()),
    "huge header": write(WEIGHTS, (2**62).to_bytes(8, "little") + b"{}"),
    "future format": edit(format=storage.FORMAT + 1),
    "setting missing": edit(scaler=...),
    "setting unknown": edit(model__colour="red"),
    "size unknown": edit(model__size="huge"),
    "kind unknown": edit(model__model="oracle"),
    "network said to be missing": edit(network=False),
    "size of another model": edit(model__size="small"),
    "window NaN": edit(model__window=math.nan),
    "window text": edit(model__window="48"),
    "scale NaN": edit(scaler__scale=[math.nan, 1.0]),
    "scale zero": edit(scaler__scale=[0.0, 1.0]),
    "scale of another length": edit(scaler__scale=[1.0]),
    "location infinite": edit(scaler__location=[math.inf, 0.0]),
    "variables fewer": edit(scaler__variables=["x0"]),
    "step infinite": edit(axis__step=math.inf),
    "step negative": edit(axis__step=-1.0),
    "prior of more variables": edit(prior__channels=3),
    "prior with a strange argument": edit(prior__evil=1),
    "support too short": edit(support__smallest_risk=[0.1]),
    "support NaN": edit(support__smallest_risk=[math.nan, 0.1]),
    "support negative": edit(support__smallest_risk=[-1.0, 0.1]),
    "tensor missing": tensors(lambda state: state.pop("prior.log_white")),
    "tensor too many": tensors(lambda state: state.update(extra=torch.zeros(1))),
    "tensor of another shape": tensors(lambda state: state.update({"prior.log_white": torch.zeros(3)})),
    "weights NaN": tensors(first_to_nan),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_models_are_refused(saved: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "m"
    shutil.copytree(saved, path)
    DAMAGE[name](path)
    with pytest.raises(ModelFileError) as caught:
        RiskDiffusion.load(path)
    assert str(path) in str(caught.value) or "scaler" in str(caught.value)
    assert caught.value.remedy


def test_no_code_is_run_from_a_model(saved: Path, tmp_path: Path) -> None:
    """A pickle in the place of the weights is not opened."""
    path, flag = tmp_path / "m", tmp_path / "flag"
    shutil.copytree(saved, path)

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.write_text, (flag, "run")

    (path / WEIGHTS).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelFileError):
        RiskDiffusion.load(path)
    torch.save({"a": torch.zeros(1)}, path / WEIGHTS)
    with pytest.raises(ModelFileError):
        RiskDiffusion.load(path)
    assert not flag.exists()


def test_no_source_file_unpickles(repository: Path) -> None:
    for path in (repository / "rstime").rglob("*.py"):
        text = path.read_text()
        assert not any(word in text for word in ("import pickle", "torch.load(", "allow_pickle=True", "joblib")), path


def test_a_loaded_model_gives_the_same_samples(saved: Path, tmp_path: Path) -> None:
    item = Series("a", np.arange(5.0), ("x1",), np.zeros((5, 1)), np.array([[0.5], [np.inf], [0.1], [np.inf], [0.0]]))
    one = RiskDiffusion.load(saved)
    one.save(tmp_path / "again")
    assert files(tmp_path / "again") == files(saved)
    other = RiskDiffusion.load(tmp_path / "again")
    a, b = (model.impute([item], samples=4)[0].samples for model in (one, other))
    assert np.array_equal(a, b)
    assert np.array_equal(
        one.forecast([item], 2, samples=4)[0].samples, other.forecast([item], 2, samples=4)[0].samples
    )
