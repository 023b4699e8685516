"""Decoding beside the ffmpeg program: CPU seconds for ten minutes of each format, to mono float at 16 kHz.

Needs `ffmpeg` on the path (Debian's package), for the comparison alone. Both run in turns, each with one thread, and
the least of several times counts, because other programs on the machine only ever add to them. Ours is what a decode
worker does: a decoder in a process of its own, the bytes handed to it, the samples handed back, the digest.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from s2i_core.audio.decode import decode
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.config import AudioConfig, DecoderConfig
from tests.bench.recordings import FORMATS, ten_minutes
from tests.bench.results import Options

_TURNS = 6


def run(options: Options) -> dict[str, Any]:
    """Figures: seconds of CPU by format, their ratio, and the worst of them."""
    if shutil.which("ffmpeg") is None:
        raise SystemExit("decode: there is no ffmpeg on the path; install Debian's package ffmpeg")
    kinds = ["m4a"] if options.quick else list(FORMATS)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, DecoderProcess(DecoderConfig()) as process:
        for kind in kinds:
            path = ten_minutes(kind, Path(folder) / f"ten.{kind}")
            theirs, ours, here = [], [], []
            for _ in range(1 if options.quick else _TURNS):
                theirs.append(_ffmpeg_s(path))
                ours.append(_isolated_s(path, process))
                here.append(_in_process_s(path))
            figures[kind] = {
                "ffmpeg_cpu_s": round(min(theirs), 3),
                "s2i_cpu_s": round(min(ours), 3),
                "s2i_in_one_process_cpu_s": round(min(here), 3),
                "ratio": round(min(theirs) / min(ours), 3),
            }
    return {**figures, "worst_ratio": min(figure["ratio"] for figure in figures.values())}


def _ffmpeg_s(path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wanted = ["-map", "a:0", "-ac", "1", "-ar", "16000", "-f", "f32le", "-y", "/dev/null"]
    subprocess.run(["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), *wanted], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _isolated_s(path: Path, process: DecoderProcess) -> float:
    with path.open("rb") as file:
        # Started before the clock: one process takes hundreds of recordings.
        decoder = process.decode(file, path.name, AudioConfig())
        began = time.process_time() + _cpu_s(process.pid)
        for _ in decoder:
            pass
        decoder.contents()
        return time.process_time() + _cpu_s(process.pid) - began


def _in_process_s(path: Path) -> float:
    began = time.process_time()
    with path.open("rb") as file:
        decoder = decode(file, path.name, AudioConfig())
        for _ in decoder:
            pass
        decoder.contents()
    return time.process_time() - began


def _cpu_s(pid: int | None) -> float:
    # In nanoseconds; the ticks of `stat` are a tenth of what a WAV takes.
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
