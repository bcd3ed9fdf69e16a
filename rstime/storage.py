"""Folders of weights and settings: safetensors and JSON, written whole or not at all, checked before use."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rstime.errors import ModelFileError

FORMAT = 1
WEIGHTS, CONFIG = "weights.safetensors", "config.json"


def write_folder(path: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write both files into a new folder and put it in the place of the old one.

    Raises
    ------
    ModelFileError
        If something else stands there, as `check_place` says.
    """
    check_place(path)
    path = _place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, fresh / WEIGHTS)
        text = json.dumps({"format": FORMAT, **config}, indent=1, sort_keys=True, allow_nan=True)
        (fresh / CONFIG).write_text(text + "\n", encoding="utf-8")
        fresh.chmod(0o755)
        (fresh / WEIGHTS).chmod(0o644)
        _exchange(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(fresh: Path, path: Path) -> None:
    """Put a folder in the place of another, which is gone then; if that fails, all is as before."""
    if not present(path):
        os.replace(fresh, path)
        return
    old = _aside(path)
    shutil.rmtree(old, ignore_errors=True)
    os.replace(path, old)
    try:
        os.replace(fresh, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _aside(path: Path) -> Path:
    """Where a folder stands while another takes its place."""
    return path.with_name(f".{path.name}-old")


def present(path: Path) -> bool:
    """Return whether a folder is there; one that stands aside, its program killed just then, comes back first."""
    path = _place(path)
    aside = _aside(path)
    if not path.exists() and aside.exists() and not _foreign(aside):
        os.rename(aside, path)
    return path.exists()


def check_place(path: Path, field: str = "model") -> None:
    """Raise ModelFileError unless nothing is lost by writing there: nothing, an empty folder, or a model alone."""
    present(path)
    place = _place(path)
    if place == Path.cwd():
        raise ModelFileError(field, f"{path} is the folder you work in", "Name a folder for the model.")
    for folder in (place, _aside(place)):
        if problem := _foreign(folder, whole=folder == place):
            remedy = "Only a model is replaced: choose another name, or move that away first."
            raise ModelFileError(field, f"{path if folder == place else folder} {problem}", remedy)


def _place(path: Path) -> Path:
    """Where a folder really is: ~ is the user's, and links are followed."""
    return Path(path).expanduser().resolve()


def _foreign(folder: Path, whole: bool = True) -> str:
    """Say what is there that `write_folder` did not write; half of a model may be left of one that stood aside."""
    if not folder.exists():
        return ""
    if not folder.is_dir():
        return "exists and is a file"
    odd = [one.name for one in sorted(folder.iterdir()) if one.name not in (CONFIG, WEIGHTS) or not one.is_file()]
    if odd:
        return f"exists and holds {odd[0]!r}" + (f" and {len(odd) - 1} more" if len(odd) > 1 else "")
    if not (folder / CONFIG).exists():
        return f"exists and holds {WEIGHTS!r} without {CONFIG}" if whole and (folder / WEIGHTS).exists() else ""
    try:
        read = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError):
        read = None
    ours = isinstance(read, dict) and read.get("format") == FORMAT
    return "" if ours else f"exists and its {CONFIG} is not that of a model of format {FORMAT}"


def read_config(path: Path) -> dict[str, Any]:
    """Read the settings of a folder.

    Raises
    ------
    ModelFileError
        If the folder, its settings or their format are not what `write_folder` writes.
    """
    path = Path(path).expanduser()
    present(path)
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFileError("model", f"no {CONFIG} in {path}", "Give the folder that save() wrote.") from error
    except (ValueError, OSError) as error:
        raise ModelFileError("model", f"{path / CONFIG} cannot be read: {error}", "Save the model again.") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ModelFileError("model", f"format {found!r} in {path}", f"This version reads format {FORMAT}.")
    return config


def read_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> dict[str, Tensor]:
    """Read the weights of a folder, after their names and shapes were compared with what is expected.

    Raises
    ------
    ModelFileError
        If the file is damaged, a tensor is missing, unknown or of another shape (nothing is allocated then), or holds
        NaN.
    """
    file = Path(path).expanduser() / WEIGHTS
    try:
        with safe_open(file, framework="pt") as weights:
            found = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
            if shapes is not None and found != dict(shapes):
                odd = sorted(set(found.items()) ^ set(shapes.items()))[0]
                raise ModelFileError("model", f"tensor {odd[0]!r} is not as {CONFIG} says in {path}", "Save it again.")
            tensors: dict[str, Tensor] = {name: weights.get_tensor(name) for name in found}
    except FileNotFoundError as error:
        raise ModelFileError("model", f"no {WEIGHTS} in {path}", "Give the folder that save() wrote.") from error
    except (SafetensorError, OSError) as error:
        raise ModelFileError("model", f"{file} is damaged: {error}", "Save the model again.") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise ModelFileError("model", f"tensor {name!r} in {file} holds NaN", "Fit and save the model again.")
    return tensors
