"""What holds of every archive, through the real job, store and tables: a few dozen folders drawn at random.

The listing of a thousand is tried in tests/test_any_archive.py.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from audio.audio_files import encoded, tone
from small_archive import clip

from cluster.jobs.plan import plan
from flows.overview import found
from s2i_core.listing import Listing
from s2i_core.records import Status
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import Place
from s2i_core.weights import digests

FOLDERS = 36
STEMS = ["ep1", "EP 2", "ünï", "a.b.c", "100%", "C#", "Q&A", "Thumbs", ".hidden"]


def spoken(chance: random.Random) -> bytes:
    """A short recording of any kind: speech, tones and silence after each other, sometimes broken."""
    parts = []
    for _ in range(chance.randrange(1, 4)):
        length = round(chance.uniform(0.2, 2.5) * 16_000)
        speech = chance.choice(SPEECH)
        start = chance.randrange(len(speech) - length)
        parts.append(chance.choice([speech[start : start + length], np.zeros(length), tone(3, 16_000)[:length, 0]]))
    samples = np.concatenate(parts)[:, None]
    kind = chance.choice(["wav", "flac", "matroska", "aiff"])
    codec = {"wav": "pcm_s16le", "flac": "flac", "matroska": "pcm_s16le", "aiff": "pcm_s16be"}[kind]
    data = encoded(samples, 16_000, kind, codec)
    fault = chance.random()
    if fault < 0.1:
        return data[: chance.randrange(len(data))]
    if fault < 0.2:
        place = chance.randrange(len(data))
        return data[:place] + chance.randbytes(min(400, len(data) - place)) + data[place + 400 :]
    return data if fault < 0.9 else chance.choice([b"", b"no audio", chance.randbytes(3000)])


def _samples(name: str) -> np.ndarray:
    return np.frombuffer(clip(name, 0, 12)[44:], "<i2").astype(np.float64) / 32768


SPEECH = [_samples("sea-animals.opus"), _samples("farm-morning.mp3")]


@pytest.mark.usefixtures("ray_session")
def test_every_recording_has_an_outcome_and_every_second_a_scene_or_a_gap(
    objects: ObjectStore, bucket: str, request_for, lake
) -> None:
    chance = random.Random(7)
    keys, known = [], [b""]
    for number in range(FOLDERS):
        for end in chance.sample([".wav", ".mp3?id=5", "", ".FLAC", ".txt", ".dat"], 2):
            data = chance.choice(known) if chance.random() < 0.1 else spoken(chance)
            known.append(data)
            key = f"in/{number:02}/{chance.choice(STEMS)}{end}"
            objects.put(bucket, key, data)
            keys.append(key)
    objects.put(bucket, "in-private/board.wav", known[1])
    objects.put(bucket, "in2/x.wav", known[1])
    summaries = [plan(request_for(limit=20)), plan(request_for())]

    request = request_for()
    rows = lake.recordings.read().to_pylist()
    scenes = lake.scenes.read(["recording_id", "start_s", "end_s"]).sort_by("start_s").to_pylist()
    total = 0
    for folder in [f"in/{number:02}" for number in range(FOLDERS)] + ["in"]:
        listed = Listing(objects, Place.of(f"s3://{bucket}/{folder}"), request.config.source).complete()
        what = found(lake, listed, digests(request.config), 0)
        assert what.listed == what.recordings + what.left_out.count
        assert what.recordings == what.ok + what.skipped + what.failed + what.pending
        assert what.pending == 0
        total += what.recordings
    assert 2 * what.recordings == total == 2 * len(rows)
    assert what.listed == len(set(keys))
    for summary in summaries:
        assert summary.rows_in == summary.ok + summary.skipped + summary.failed + summary.left
        assert summary.listed == what.listed
        assert summary.left_out == what.left_out.count
    assert [summaries[0].rows_in, summaries[1].unchanged] == [20, 20 - _again(rows, summaries[0].run_id)]
    assert {row["status"] for row in rows} == {"ok", "skipped", "failed"}
    assert all(row["source_uri"].startswith(f"s3://{bucket}/in/") for row in rows)

    for row in rows:
        mine = [each for each in scenes if each["recording_id"] == row["recording_id"]]
        if row["status"] == Status.FAILED.value:
            assert row["reason"]
            continue
        if not mine:
            assert row["duration_s"] == pytest.approx(0, abs=0.01), row
            continue
        ends = [0.0, *(each["end_s"] for each in mine)]
        assert [each["start_s"] for each in mine] == pytest.approx(ends[:-1], abs=0.002), row
        assert ends[-1] == pytest.approx(row["duration_s"], abs=0.002), row


def _again(rows: list[dict[str, object]], run_id: str) -> int:
    """Recordings of a run that its successor took up again."""
    return 20 - sum(row["run_id"] == run_id for row in rows)
