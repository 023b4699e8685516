"""Training state on disk: written atomically, so that a run that is cut off resumes from the last good state."""

from __future__ import annotations

import importlib.util
import json
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from s2i_core.errors import ModelError


def save(path: Path, step: int, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Write modules and optimizer after `step` steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    state = {
        "step": step,
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, temporary)
    temporary.rename(path)


def resume(path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer | None = None) -> int:
    """Read what `save` wrote and return its step; 0 if there is nothing yet.

    Raises:
        ModelError: the file is damaged or of other modules.
    """
    if not path.exists():
        return 0
    try:
        # weights_only: tensors and plain containers, never code.
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        if optimizer is not None:
            optimizer.load_state_dict(state["optimizer"])
    except (OSError, KeyError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise ModelError(
            str(path), f"no training state of this model: {error}", "Delete it to start afresh."
        ) from error
    return int(state["step"])


def say(line: str) -> None:
    """Show a line of progress at once."""
    print(line, flush=True)  # noqa: T201


class TrainingLog:
    """Reports progress: to `<name>.jsonl` beside the checkpoint, to the screen, and to TensorBoard if it is installed.

    Args:
        folder: folder of the checkpoint.
        name: the trained part; names the file.
        speaks: false for all but one of several processes, whose logs write nothing.
        tell: called with each line; by default shows it.
    """

    def __init__(self, folder: Path, name: str, *, speaks: bool = True, tell: Callable[[str], None] = say) -> None:
        self._speaks, self._tell = speaks, tell
        if not speaks:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.jsonl"
        self._name = name
        self._start = time.monotonic()
        self._board = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard" / name))

    def __call__(self, step: int, **values: Any) -> None:
        """Report the values after `step` steps."""
        if not self._speaks:
            return
        row = {"step": step, "elapsed_s": round(time.monotonic() - self._start, 1)} | {
            key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for key, value in values.items():
                if isinstance(value, float):
                    self._board.add_scalar(key, value, step)
        self._tell(" ".join([self._name, *(f"{key}={value}" for key, value in row.items())]))
