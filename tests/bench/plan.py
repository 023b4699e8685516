"""What `s2i plan` says of the sample archive from smaller runs, against a real run over all of it.

Two runs over parts of the archive give the rates; then the whole is planned, and run for real. Each figure is the
estimate over what came true, minus one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from flows.estimate import Cluster, Rates, plan, stored_bytes
from s2i_core.storage.objects import ObjectStore
from tests.bench.results import ROOT, Options
from tests.bench.setting import own_store

_SAMPLES = ROOT / "samples"
_PARTS = {
    "short": ("castle-tale.mp3", "sea-animals.opus", "not-audio.mp3"),
    "long": ("farm-morning.mp3", "fruit-market.flac", "music-lesson.mp3", "night-sky.m4a", "zoo-podcast.ogg"),
}


def run(options: Options) -> dict[str, Any]:
    """Run the parts, plan the whole, run the whole, compare."""
    settings = {"image.steps": 1, "image.references": 0} if options.quick else {}
    with own_store() as store, tempfile.TemporaryDirectory(prefix="s2i-bench-") as home:
        import os

        os.environ["S2I_HOME"] = home
        files = [file for file in sorted(_SAMPLES.iterdir()) if file.suffix in _suffixes()]
        summaries = [_run(store, name, [_SAMPLES / each for each in names], settings) for name, names in _PARTS.items()]
        rates = Rates.of(summaries, stored_bytes(store, summaries[-1]["destination"]))
        _fill(store, "whole-in", files)
        estimate = plan("s3://whole-in", rates=rates, cluster=Cluster.here(), sample=len(files))
        actual = _run(store, "whole", files, settings)
        jobs = {job["job"]: job for job in actual["jobs"]}
        real = {
            "audio": jobs["plan"]["audio_s"],
            "images": actual["totals"]["images"],
            "compute": sum(job["elapsed_s"] for job in jobs.values()) * actual["cpus"],
            "elapsed": actual["elapsed_s"],
            "storage": sum(stored_bytes(store, actual["destination"]).values()),
        }
        told = {
            "audio": estimate.content.audio_s,
            "images": estimate.images,
            "compute": estimate.compute_h * 3600,
            "elapsed": estimate.elapsed_s,
            "storage": estimate.stored_bytes,
        }
    errors = {f"{name}_error": round(abs(told[name] / real[name] - 1), 3) for name in real}
    return errors | {"estimate": told, "actual": real, "rates": rates.model_dump(), "summaries": [*summaries, actual]}


def _suffixes() -> set[str]:
    return {".mp3", ".m4a", ".flac", ".ogg", ".opus", ".wav"}


def _fill(store: ObjectStore, bucket: str, files: list[Path]) -> None:
    store.create_bucket(bucket)
    for file in files:
        store.put(bucket, file.name, file.read_bytes())


def _run(store: ObjectStore, name: str, files: list[Path], settings: dict[str, Any]) -> dict[str, Any]:
    """The summary of a run over these files."""
    _fill(store, f"{name}-in", files)
    store.create_bucket(f"{name}-out")
    # A command each: the first run of a process would pay for the imports of the others.
    command = [sys.executable, "-m", "s2i_core.cli", "run", f"s3://{name}-in", f"s3://{name}-out", "--json"]
    options = [part for setting, value in settings.items() for part in ("--set", f"{setting}={value}")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    summary = json.loads(store.get(f"{name}-out", f"runs/{json.loads(done.stdout)['run_id']}/summary.json"))
    return {each: summary[each] for each in _KEPT}


_KEPT = ("run_id", "destination", "preset", "cpus", "gpus", "elapsed_s", "jobs", "totals", "model_digest")
