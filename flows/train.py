"""The flow `train_model`: the steps of a training recipe, one after the other, where its worker runs.

Training needs a machine of its own, with one or more GPUs: give its deployment a work pool of such machines. Every step
resumes where it was cut off, so a run that died is simply run again. It needs the training packages (`infra/install.sh
train`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from pydantic import Field

from s2i_core import logs, tracing
from s2i_core.errors import S2IError
from s2i_core.logs import Log

Step = Literal["data", "pictures", "align", "place", "diffuse", "finetune", "export"]
STEPS: tuple[Step, ...] = ("data", "pictures", "align", "place", "diffuse", "export")
_PARALLEL = {"pictures", "align", "place", "diffuse", "finetune"}
_TOLD_LINES = 20


class TrainingFailed(S2IError):
    """A step of training ended with an error."""


@flow(name="train-model", flow_run_name="train {out}", persist_result=False)
def train_model(
    data: str = "data/first",
    out: str = "runs/first",
    target: str = "runs/first/model",
    steps: list[Step] | None = None,
    recipe: Literal["cpu", "gpu"] = "gpu",
    settings: dict[str, Any] | None = None,
    start: str = "",
    processes: Annotated[int, Field(ge=1)] = 1,
) -> str:
    """Train a model by a recipe; every step resumes where it was cut off.

    Args:
        data: folder of the training data, on the worker's machine; or s3://bucket/prefix.
        out: folder of the training state and its logs.
        target: folder that the checkpoint is written to; or s3://bucket/prefix.
        steps: some of data, pictures, align, place, diffuse, finetune, export; by default all but finetune, which needs
            a complete model as its `start`.
        recipe: name of the settings: cpu, gpu.
        settings: single settings instead of the recipe's, such as `{"align.steps": 3000}`.
        start: folder of a checkpoint to continue training from; empty starts afresh.
        processes: how many train together, one per GPU.

    Returns:
        The folder of the checkpoint.

    Raises:
        TrainingFailed: a step ended with an error; what was saved before stays.
    """
    logs.to_stderr()
    log = Log("flows", flow="train-model", out=out)
    with tracing.span("flow train-model", {"s2i.recipe": recipe}):
        for step in steps or STEPS:
            log.info("step began", step=step)
            _run(step, _command(step, data, Path(out), target, recipe, settings or {}, start, processes))
        create_markdown_artifact(_told(Path(out)), key="s2i-training", description="The last lines of each step's log")
    return target


def _command(
    step: Step,
    data: str,
    out: Path,
    target: str,
    recipe: str,
    settings: dict[str, Any],
    start: str,
    processes: int,
) -> list[str]:
    parallel = processes > 1 and step in _PARALLEL
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if parallel else []
    command = [sys.executable, *launcher, "-m", "s2i_core.training", step, "--data", data, "--recipe", recipe]
    if step != "data":
        command += ["--out", str(out)]
    if step == "export":
        command += ["--target", target]
    if start:
        command += ["--start", start]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    return command


def _run(step: str, command: Sequence[str]) -> None:
    """Run a step; its lines go to the flow's log as they come."""
    logger = get_run_logger()
    last: deque[str] = deque(maxlen=_TOLD_LINES)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as process:
        try:
            for line in process.stdout or ():
                last.append(line.rstrip())
                logger.info("%s", line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = next((line for line in reversed(last) if line.strip()), "it said nothing")
        raise TrainingFailed(
            f"step {step}",
            f"it ended with {process.returncode}: {said}",
            "Mend what it says, and run again: it resumes.",
        )


def _told(out: Path) -> str:
    """The end of each step's log, as Markdown."""
    parts = []
    for path in sorted(out.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()[-_TOLD_LINES:]
        parts.append(f"## {path.stem}\n\n```\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts) or "No step has written a log.\n"
