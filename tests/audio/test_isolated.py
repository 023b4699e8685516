"""Decoding in a process that may die: the same samples, the same errors, and limits that hold."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from audio_files import encoded, tone, wav

from s2i_core.audio import isolated
from s2i_core.audio.decode import decode
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import listen
from s2i_core.config import AudioConfig, DecoderConfig
from s2i_core.errors import DecodeError, LimitExceeded, ObjectGone, StorageUnavailable

RATE = 16_000
CONFIG = AudioConfig()
SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def process() -> Iterator[DecoderProcess]:
    with DecoderProcess(DecoderConfig()) as process:
        yield process


def decoded(process: DecoderProcess, data: bytes, config: AudioConfig = CONFIG) -> np.ndarray:
    return np.concatenate(list(process.decode(io.BytesIO(data), "s3://archive/talk", config)))


def test_the_same_as_in_this_process(process: DecoderProcess) -> None:
    # The index of this file is at its end, so that the demuxer jumps; its middle is damaged.
    data = bytearray(encoded(tone(20, 48_000, 2), 48_000, "mp4", "aac"))
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    there = process.decode(io.BytesIO(data), "talk", CONFIG)
    here = decode(io.BytesIO(data), "talk", CONFIG)
    np.testing.assert_array_equal(np.concatenate(list(there)), np.concatenate(list(here)))
    assert there.info == here.info
    assert there.samples == here.samples
    assert there.damage == here.damage
    assert there.damage is not None
    assert there.contents() == here.contents()
    assert there.contents().sha256 == hashlib.sha256(data).hexdigest()


def test_one_process_takes_one_file_after_the_other(process: DecoderProcess) -> None:
    data = wav(tone(3, RATE), RATE)
    decoded(process, data)
    first = process.pid
    with pytest.raises(DecodeError, match="s3://archive/talk: it is not in an audio or video format"):
        decoded(process, b"Meeting notes\n" * 1000)
    with pytest.raises(LimitExceeded, match="more than 1 s of audio"):
        decoded(process, data, AudioConfig(max_duration_s=1))
    with pytest.raises(DecodeError, match="empty"):
        decoded(process, b"")
    assert len(decoded(process, data)) == 3 * RATE
    assert process.pid == first


def test_utterances_are_the_same(process: DecoderProcess) -> None:
    with (SAMPLES / "zoo-podcast.ogg").open("rb") as file:
        there, here = listen(file, "talk", CONFIG, process.decode), None
        features = [each.features for each in there]
        here = listen(file, "talk", CONFIG)
        assert all(np.array_equal(a, b.features) for a, b in zip(features, here, strict=True))
    assert there.result == here.result


@pytest.mark.parametrize("error", [ObjectGone("talk", "it is gone", "Run again."), StorageUnavailable("a", "b", "c")])
def test_errors_of_the_store_pass_unchanged(process: DecoderProcess, error: Exception) -> None:
    class Vanishing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 500_000:
                raise error
            return super().read(size)

    with pytest.raises(type(error)) as caught:
        list(process.decode(Vanishing(wav(tone(90, RATE), RATE)), "talk", CONFIG))
    assert caught.value is error
    assert len(decoded(process, wav(tone(3, RATE), RATE))) == 3 * RATE


@pytest.mark.parametrize(
    ("kill", "reason", "transient"),
    [
        (signal.SIGSEGV, "crashed .SIGSEGV", False),
        (signal.SIGKILL, "crashed .SIGKILL", True),
        (signal.SIGXCPU, "CPU time", False),
    ],
)
def test_a_decoder_that_dies_fails_its_file_alone(kill: int, reason: str, transient: bool) -> None:
    data = wav(tone(60, RATE), RATE)
    with DecoderProcess(DecoderConfig()) as process:
        chunks = iter(process.decode(io.BytesIO(data), "talk", CONFIG))
        next(chunks)
        os.kill(process.pid or 0, kill)
        with pytest.raises(DecodeError, match=reason) as caught:
            list(chunks)
        assert caught.value.transient is transient
        assert len(decoded(process, data)) == 60 * RATE


def test_a_decoder_that_hangs_is_ended() -> None:
    with DecoderProcess(DecoderConfig(stall_s=1)) as process:
        chunks = iter(process.decode(io.BytesIO(wav(tone(60, RATE), RATE)), "talk", CONFIG))
        next(chunks)
        os.kill(process.pid or 0, signal.SIGSTOP)
        with pytest.raises(DecodeError, match="no progress for 1 s"):
            list(chunks)
        assert process.pid is None


def test_memory_is_limited() -> None:
    # A few bytes that claim 50 million packets of one size: FFmpeg would build an index of more than a gigabyte.
    data = bytearray(encoded(tone(3, 48_000), 48_000, "mp4", "aac", options={"movflags": "faststart"}))
    sizes = data.index(b"stsz")
    data[sizes + 8 : sizes + 16] = (1).to_bytes(4, "big") + (50_000_000).to_bytes(4, "big")
    with DecoderProcess(DecoderConfig(memory_bytes=1 << 28)) as process:
        with pytest.raises(DecodeError):
            decoded(process, bytes(data))
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(status.partition("VmHWM:")[2].split()[0]) < 300_000  # kB; more than 650,000 without the limit


def test_a_slow_consumer_is_not_to_blame(process: DecoderProcess) -> None:
    chunks = iter(process.decode(io.BytesIO(wav(tone(60, RATE), RATE)), "talk", AudioConfig(max_decode_s=2)))
    next(chunks)
    time.sleep(3)
    assert sum(map(len, chunks)) == 58 * RATE


def test_left_half_way(process: DecoderProcess) -> None:
    data = wav(tone(60, RATE), RATE)
    for chunk in process.decode(io.BytesIO(data), "talk", CONFIG):
        assert len(chunk)
        break
    assert len(decoded(process, data)) == 60 * RATE


def test_the_child_knows_no_login(process: DecoderProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    with DecoderProcess(DecoderConfig()) as fresh:
        decoded(fresh, wav(tone(1, RATE), RATE))
        assert b"AWS" not in Path(f"/proc/{fresh.pid}/environ").read_bytes()


def test_it_is_replaced_in_time_and_ends_with_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "FILES_PER_PROCESS", 2)
    data = wav(tone(1, RATE), RATE)
    with DecoderProcess(DecoderConfig()) as process:
        pids = []
        for _ in range(4):
            decoded(process, data)
            pids.append(process.pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert threading.active_count() < 50
