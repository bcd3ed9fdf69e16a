"""The house stands: imports go one way, the wheel holds what it should, help is quick, the README runs."""

from __future__ import annotations

import ast
import io
import itertools
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE_FOLDERS = {
    "rstime": ROOT / "rstime",
    "rstime.datasets": ROOT / "datasets",
    "rstime.evaluation": ROOT / "evaluation",
}

# Who may import whom inside rstime. A folder stands for all its files, which may import one another.
BASE = {"errors", "types"}
FRAMES = {"cells", "answers", "covariates", "frame"}
WINDOWS = {"axis", "transforms", "scaling", "windows"}
PRIOR = {"tokens", "lines", "belief", "correlation", "statespace", "gaussian"}
TENSORS = PRIOR | {"diffusion", "moments", "gaussian_fit", "network", "denoiser", "last_draw", "posterior"}
FITTING = {
    "robust",
    "examples",
    "consistency",
    "training",
    "storage",
    "scores",
    "inference",
    "build",
    "support",
    "future",
    "config",
    "lasting",
    "likelihood",
    "progress",
    "fitting",
    "risk",
    "noise_fit",
    "noise_likelihood",
    "risk_rule",
    "noise_rule",
}
MODEL = BASE | FRAMES | WINDOWS | TENSORS | FITTING | {"model", "model_state", "model_answers", "model_scores"}
SHOW = {"plotting", "pictures", "report"}
GLUONTS = {f"gluonts_{x}" for x in ("risk", "data", "season", "scale", "base", "lightning", "predictor")}
EVALUATED = {
    f"evaluation.{name}"
    for name in (
        "baselines",
        "classics",
        "local_level",
        "gluonts_entries",
        "forecasters",
        "peers",
        "fitted",
        "adjusting",
        "methods",
        "tasks",
    )
}
PAPER = {f"evaluation.paper_{name}" for name in ("distance", "sets", "windows", "prior", "network", "methods")}
COMMANDS = ("methods", "run", "leaderboard", "backtest")
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "scores": BASE,
    "noisy_scores": BASE | {"scores"},
    "adjustment": BASE | {"noisy_scores"},
    # tables to Series and back: the only modules that know column names
    "axis": BASE,
    "cells": BASE | {"axis", "tables"},
    "answers": BASE | {"axis", "cells"},
    "covariates": BASE | {"axis", "cells"},
    "frame": BASE | FRAMES | {"axis"},
    "risk": BASE,
    "risk.sensors": BASE | {"axis", "cells", "risk"},
    # Series to windows
    "transforms": BASE,
    "scaling": BASE | {"transforms", "windows"},
    "windows": BASE | {"axis"},
    "future": BASE | WINDOWS,
    "support": BASE | WINDOWS,
    # tensors only
    "tokens": BASE,
    "diffusion": BASE,
    "lines": BASE | {"tokens"},
    "belief": BASE | {"tokens"},
    "correlation": BASE | {"tokens", "belief"},
    "statespace": BASE | {"tokens", "lines", "belief"},
    "gaussian": BASE | PRIOR | {"diffusion"},
    "moments": BASE | PRIOR,
    "noise_likelihood": BASE | PRIOR | {"diffusion", "moments", "risk"},
    "noise_fit": BASE | {"axis", "noise_likelihood", "risk"},
    "risk_rule": BASE | FRAMES | {"axis", "noise_fit", "risk"},
    "noise_rule": BASE | {"axis", "risk"},
    "gaussian_fit": BASE | PRIOR | {"diffusion", "moments"},
    "network": BASE | {"tokens", "lines", "belief", "gaussian"},
    "denoiser": BASE | {"tokens", "diffusion", "gaussian", "network"},
    "last_draw": BASE | {"belief", "diffusion", "denoiser"},
    "posterior": BASE | {"tokens", "belief", "correlation", "diffusion", "gaussian", "denoiser", "last_draw"},
    # fitting and asking
    "storage": {"errors"},
    "robust": BASE,
    "examples": BASE | WINDOWS | TENSORS | {"noise_rule", "risk", "robust"},
    "consistency": BASE | TENSORS | {"examples"},
    "training": BASE | WINDOWS | TENSORS | {"examples", "consistency", "storage", "scores"},
    "inference": BASE | WINDOWS | TENSORS,
    "lasting": BASE | PRIOR | {"diffusion"},
    "likelihood": BASE | WINDOWS | TENSORS | {"lasting"},
    "config": {"errors", "network"},
    "progress": {"training"},
    "fitting": BASE | WINDOWS | TENSORS | FITTING,
    "build": BASE | WINDOWS | TENSORS | {"storage", "config"},
    "model_state": MODEL - {"model", "model_answers", "model_scores"},
    "model_answers": MODEL - {"model", "model_scores"},
    "model_scores": MODEL - {"model", "model_answers"},
    "model": MODEL,
    # faces
    "gluonts_risk": BASE,
    "gluonts_data": BASE | {"gluonts_risk"},
    "gluonts_season": BASE | {"scaling", "gluonts_data"},
    "gluonts_scale": BASE | {"scaling", "gluonts_season"},
    "gluonts_base": BASE,
    "gluonts_lightning": {"errors", "examples", "training"},
    "gluonts_predictor": MODEL | GLUONTS,
    "gluonts": MODEL | GLUONTS,
    "imputer": MODEL,
    "plotting": MODEL,
    "pictures": BASE | {"plotting"},
    "plotting_risk": {"errors", "plotting", "risk"},
    "report": MODEL | {"plotting"},
    "audit": MODEL | {"report"},
    "plotting_audit": BASE | {"plotting", "audit"},
    "datasets": BASE | {"frame", "risk", "risk.sensors"},
    "evaluation": BASE | {"scores", "noisy_scores", "datasets", "risk"},
    "evaluation.baselines": MODEL | {"datasets", "evaluation"},
    "evaluation.classics": BASE | {"evaluation", "evaluation.baselines"},
    "evaluation.local_level": BASE | {"evaluation", "evaluation.baselines", "evaluation.classics"},
    "evaluation.sensor_tasks": BASE | {"datasets", "evaluation", "risk"},
    "evaluation.tasks": BASE | {"datasets", "evaluation", "evaluation.sensor_tasks"},
    "evaluation.gluonts_entries": BASE | {"evaluation", "evaluation.classics"},
    "evaluation.forecasters": BASE | {"evaluation", *EVALUATED},
    "evaluation.peers": BASE | {"evaluation", "evaluation.baselines"},
    "evaluation.adjusting": BASE | {"adjustment", "evaluation", "evaluation.baselines"},
    "evaluation.fitted": BASE | {"evaluation", "evaluation.baselines"},
    "evaluation.methods": MODEL | {"gluonts", "evaluation", *EVALUATED},
    "evaluation.run": BASE | {"tables", "evaluation", *EVALUATED},
    "evaluation.leaderboard": BASE | {"tables", "report", "evaluation", "evaluation.run"},
    "evaluation.backtest": MODEL | {"evaluation", "evaluation.baselines", "evaluation.classics"},
    "evaluation.pairs": BASE | {"datasets", "risk", "evaluation", "report", "plotting_risk"},
    "evaluation.paper": BASE | {"datasets", "evaluation", "report", *PAPER},
    "evaluation.paper_toy": BASE | {"diffusion", "plotting", "report", "risk"},
    "evaluation.paper_sets": BASE | {"evaluation", "evaluation.paper_windows"},
    "evaluation.paper_windows": BASE | {"datasets"},
    "evaluation.paper_prior": BASE,
    "evaluation.paper_network": BASE | {"diffusion", "evaluation.paper_prior"},
    "evaluation.paper_methods": BASE | {"diffusion", *PAPER},
    "evaluation.family_marginals": BASE | {"noise_rule", "risk"},
    "evaluation.family_study": BASE
    | {"datasets", "diffusion", "evaluation.family_marginals", "noise_rule", "report", "risk", "robust", "scaling"},
    "evaluation.understated": {"evaluation.family_marginals", "evaluation.family_study", "report"},
    "evaluation.failures": MODEL | SHOW | {"datasets", "noisy_scores"},
    "evaluation.risk_pattern": MODEL | SHOW | {"datasets"},
    "evaluation.unknown": MODEL | SHOW | {"datasets"},
    "evaluation.noise_floor": BASE | TENSORS | {"scores", "datasets", "consistency", "robust"},
    "evaluation.last_draws": MODEL | {"datasets", "evaluation", "evaluation.baselines", "evaluation.noise_floor"},
    "evaluation.short_starts": BASE | {"scores", "datasets", "diffusion", "report"},
    "evaluation.learned_residual": BASE | {"scores", "datasets", "diffusion", "report", "evaluation.short_starts"},
    "evaluation.lasting": MODEL | SHOW | {"datasets"},
    "evaluation.faults": MODEL | SHOW | {"datasets"},
    "evaluation.real_sensors": BASE | {"datasets", "risk"},
    "evaluation.real_pairs": MODEL | SHOW | {"noisy_scores", "evaluation", "evaluation.real_sensors"},
    "evaluation.audited": MODEL | {"audit", "plotting_audit", "datasets"},
    "evaluation.overhead": MODEL | {"evaluation"},
    "evaluation.speed": BASE | {"scores", "datasets", "evaluation", "evaluation.baselines"},
    "evaluation.core": BASE | {"scores", "datasets", "evaluation", "evaluation.baselines", "evaluation.speed"},
    "demo": MODEL | SHOW | {"datasets", "evaluation", "evaluation.baselines"},
    "tables": {"errors"},
    "readers": BASE | {"axis", "cells", "risk", "tables"},
    "options": set(),
    "cli_convert": BASE | {"tables", "readers", "risk.sensors"},
    "cli_data": BASE | {"report", "datasets", "cli_convert"},
    "cli_evaluate": BASE | FRAMES | {"report", "tables", "evaluation"} | {f"evaluation.{name}" for name in COMMANDS},
    "cli_audit": MODEL | {"tables", "audit", "plotting_audit"},
    "cli_input": MODEL | {"tables", "report"},
    "cli_answers": MODEL | {"tables", "pictures", "cli_input"},
    "cli": MODEL
    | {"tables", "options", "report", "demo", "cli_input", "cli_answers", "cli_audit", "cli_data", "cli_evaluate"},
}
EDGES = (
    FRAMES
    | SHOW
    | {
        "model",
        "model_state",
        "model_answers",
        "model_scores",
        "gluonts",
        "imputer",
        "tables",
        "options",
        "cli",
        "cli_input",
        "cli_answers",
        "cli_data",
        "cli_evaluate",
        "demo",
        "datasets",
        "evaluation",
    }
)
EDGES |= {"audit", "risk_rule", "risk.sensors", "readers", "cli_convert", "gluonts_data", "gluonts_season"}
NO_FRAMES = {name for name in ALLOWED if not {name, name.split(".")[0]} & EDGES}


def sources() -> Iterator[tuple[str, Path]]:
    """Yield (module name below rstime, file) of every source file once, whatever the symlinks."""
    for package, folder in PACKAGE_FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            if package == "rstime" and path.relative_to(folder).parts[0] in ("datasets", "evaluation"):
                continue
            parts = [*package.split(".")[1:], *path.relative_to(folder).with_suffix("").parts]
            yield ".".join(part for part in parts if part != "__init__"), path


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything that the file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it from rstime on"
            for alias in node.names:
                public = node.module == "rstime" and alias.name != "__version__"
                yield f"rstime.{alias.name}" if public else str(node.module)


def rule(module: str) -> str:
    """Name the entry of ALLOWED that a module falls under: its own, or that of its folder."""
    return module if module in ALLOWED else module.split(".")[0]


def violations(module: str, names: Iterable[str]) -> list[str]:
    """Return what the module imports from rstime and must not."""
    own = rule(module)
    inside = [name.removeprefix("rstime.") for name in names if name.startswith("rstime.")]
    return [name for name in inside if rule(name) not in ALLOWED[own] | {own}]


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0] or "rstime") for pair in sources()])
def test_imports_go_one_way(module: str, path: Path) -> None:
    if not module:
        return  # rstime/__init__.py names everything, and imports it only when asked
    assert rule(module) in ALLOWED, f"{module} is new: say in ALLOWED what it may import"
    assert violations(module, imported(path)) == []


@pytest.mark.parametrize(
    ("module", "name", "bad"),
    [
        ("diffusion.loss", "rstime.frame", True),
        ("diffusion.loss", "rstime.diffusion.levels", False),
        ("types", "rstime.model", True),
        ("evaluation.protocol", "rstime.model", True),
        ("evaluation.protocol", "rstime.evaluation.baselines", True),
        ("evaluation.baselines", "rstime.model", False),
        ("evaluation.baselines", "rstime.evaluation.protocol", False),
        ("risk.estimation", "rstime.model", True),
        ("cli", "rstime.model", False),
    ],
)
def test_the_import_rule_itself_finds_what_it_should(module: str, name: str, bad: bool) -> None:
    assert bool(violations(module, [name])) is bad


@pytest.mark.parametrize(("module", "path"), [pytest.param(*p, id=p[0]) for p in sources() if rule(p[0]) in NO_FRAMES])
def test_only_the_edges_know_data_frames(module: str, path: Path) -> None:
    assert not [name for name in imported(path) if name.split(".")[0] == "pandas"]


def test_folders_beside_the_package_cannot_shadow_others() -> None:
    for name in ("datasets", "evaluation"):
        assert not (ROOT / name / "__init__.py").exists()
        link = ROOT / "rstime" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name


def test_wheel_holds_every_module_and_nothing_else(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("rstime", "datasets", "evaluation"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(tree)], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {"rstime/py.typed"}
    for package, folder in PACKAGE_FOLDERS.items():
        copy = tree / folder.relative_to(ROOT)
        inner = [path.relative_to(copy) for path in copy.rglob("*.py")]
        linked = ("datasets", "evaluation") if package == "rstime" else ()
        expected |= {f"{package.replace('.', '/')}/{path.as_posix()}" for path in inner if path.parts[0] not in linked}
    assert files == expected


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, time\n"
        "from rstime.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'gluonts', 'pandas', 'numpy', 'scipy', 'matplotlib', 'lightning', 'pyarrow'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)), 'CPU', time.process_time())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    found = re.search(r"HEAVY (\[.*\]) CPU ([\d.]+)", done.stdout)
    assert found is not None
    assert found[1] == "[]"
    assert float(found[2]) < 0.5


def readme_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.M | re.S)


def vitals() -> pd.DataFrame:
    """Four beds, two variables, two days: signals that wander, read with error, a third of the readings left out."""
    rng = np.random.default_rng(0)
    hours = pd.date_range("2026-01-01", periods=48, freq="h")
    frames = []
    for bed, (variable, sd) in itertools.product(range(1, 5), (("map", 8.0), ("hr", 1.5))):
        value = 80 + np.cumsum(3 * rng.normal(size=48)) + sd * rng.normal(size=48)
        value[rng.random(48) < 0.3] = np.nan
        rows = {"item_id": f"bed-{bed}", "timestamp": hours, "variable": variable, "value": value, "sd": sd}
        frames.append(pd.DataFrame(rows))
    return pd.concat(frames)


def test_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rstime.cli import main

    monkeypatch.chdir(tmp_path)
    (example,) = readme_blocks("csv")
    assert list(pd.read_csv(io.StringIO(example)).columns) == list(vitals().columns)
    vitals().to_csv("vitals.csv", index=False)
    (commands,) = readme_blocks("sh")
    for line in commands.splitlines():
        program, command, *options = shlex.split(line)
        assert program == "rstime"
        fast = ["--model", "gaussian"] if command == "fit" else []  # what is tested is that the lines are right
        assert main([command, *options, *fast]) == 0, line
    assert len(pd.read_csv("clean.csv")) == len(vitals())
    assert {"mean", "std", "0.05", "0.95"} <= set(pd.read_csv("future.csv").columns)
    shutil.rmtree("model")
    for block in readme_blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert Path("model").is_dir()
