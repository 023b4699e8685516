"""The plan of a run: how much there is, what runs took, and what that makes of a cluster and its prices."""

from __future__ import annotations

import io
import json
from importlib import resources
from pathlib import Path

import av
import numpy as np
import pytest
from fronts import archived, front, refusal
from small_archive import SAMPLES, clip
from typer.testing import CliRunner

from flows.archive import RunSummary
from flows.estimate import (
    Cluster,
    Header,
    NodeGroup,
    Rates,
    StoragePrices,
    _part,
    estimate,
    measure,
    plan,
    read_rates,
)
from s2i_core import cli, presets
from s2i_core.audio.length import Length
from s2i_core.errors import ConfigError
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore

RATES = Rates(
    device="cpu",
    preset="cpu",
    start_s=20,
    held_s=15,
    plan_s=0.1,
    draw_s=2.0,
    images_per_audio_h=400,
    image_bytes=3000,
    page_bytes_per_audio_s=5000,
    table_bytes_per_image=8000,
    runs=("one",),
)
CLUSTER = Cluster(
    note="Example prices.",
    currency="USD",
    groups=(NodeGroup(name="cpu", count=4, cpus=16, price_per_hour=0.5),),
    storage=StoragePrices(gb_month=0.02, writes_per_1000=0.005, reads_per_1000=0.0005),
)


def summary(run_id: str, audio_s: float, images: int, plan_s: float, draw_s: float, **changes: object) -> dict:
    return {
        "run_id": run_id,
        "preset": "cpu",
        "cpus": 2.0,
        "gpus": 0.0,
        "elapsed_s": 10 + plan_s + draw_s,
        "jobs": [
            {"job": "plan", "audio_s": audio_s, "elapsed_s": plan_s, "ok": 1},
            {"job": "illustrate", "ok": images, "elapsed_s": draw_s},
        ],
        "totals": {"images": images},
        **changes,
    }


@pytest.fixture
def samples(objects: ObjectStore, bucket: str) -> str:
    """A bucket with the sample archive."""
    for file in SAMPLES.iterdir():
        if file.is_file() and file.suffix not in {".py", ".md", ".json"}:
            objects.put(bucket, file.name, file.read_bytes())
    return bucket


def test_the_sample_archives_length_from_its_headers(objects: ObjectStore, samples: str) -> None:
    whole = measure(objects, objects.list(samples))
    assert (whole.recordings, whole.sampled, whole.unreadable) == (11, 11, 2)
    assert whole.audio_s == pytest.approx(12.6 * 60, rel=0.02)
    assert whole.audio_s_error == 0
    part = measure(objects, list(objects.list(samples)) * 40, sample=12)
    assert part.recordings == 440
    assert part.sampled <= 16
    assert abs(part.audio_s - 40 * whole.audio_s) < part.audio_s_error + 0.1 * 40 * whole.audio_s
    assert part.audio_s_error > 0


def test_what_no_header_tells_is_guessed_and_said(objects: ObjectStore, bucket: str) -> None:
    objects.put(bucket, "a.mp3", b"\0" * 160_000)
    content = measure(objects, objects.list(bucket))
    assert (content.audio_s, content.unreadable, content.assumed_bytes) == (10.0, 1, 160_000)
    made = estimate(f"s3://{bucket}", None, presets.cpu(), content, 0, RATES, CLUSTER)
    assert any("guessed" in remark for remark in made.remarks)


def test_two_runs_tell_the_start_and_the_work_apart() -> None:
    sizes = {"images": 90_000, "tables": 60_000, "pages": 600_000}
    rates = Rates.of([summary("a", 100, 10, 5 + 10, 4 + 20), summary("b", 300, 30, 5 + 30, 4 + 60)], sizes)
    assert (rates.start_s, rates.held_s) == (pytest.approx(10 + 5 + 4), pytest.approx(5 + 4))
    assert rates.plan_s == pytest.approx(2 * 0.1)
    assert rates.draw_s == pytest.approx(2 * 2.0)
    assert rates.images_per_audio_h == pytest.approx(360)
    assert rates.page_bytes_per_audio_s == pytest.approx(2000)
    one = Rates.of([summary("a", 100, 10, 15, 24)], sizes)
    assert (one.start_s, one.plan_s) == (pytest.approx(10), pytest.approx(0.3))
    on_gpus = Rates.of([summary("a", 100, 10, 15, 24, gpus=4.0)], sizes)
    assert (on_gpus.device, on_gpus.draw_s) == ("gpu", pytest.approx(4 * 2.4))


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([summary("a", 0, 0, 1, 1)], "planned or drew nothing"),
        ([summary("a", 9, 9, 1, 1, cpus=0)], "what it ran on"),
        ([summary("a", 9, 9, 1, 1), summary("b", 9, 9, 1, 1, cpus=4)], "different machines"),
    ],
)
def test_runs_that_give_no_rates_are_refused(runs: list[dict], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Rates.of(runs, {"images": 1, "tables": 1, "pages": 1})


def test_time_and_money_follow_from_the_clusters_size(objects: ObjectStore, samples: str) -> None:
    content = measure(objects, objects.list(samples))
    made = estimate("s3://a", None, presets.cpu(), content, 5, RATES, CLUSTER)
    assert made.images == round(content.audio_s / 9) + 5
    work_s = content.audio_s * 0.1 + made.images * 2.0
    assert made.compute_h == pytest.approx((15 * 64 + work_s) / 3600, abs=1e-3)
    assert made.elapsed_s == pytest.approx(20 + work_s / 64, abs=0.1)
    assert made.compute_money == pytest.approx(4 * 0.5 * made.elapsed_s / 3600, abs=0.01)
    assert made.stored_bytes == pytest.approx(made.images * 11_000 + content.audio_s * 5000, rel=0.01)
    assert made.prices == "Example prices. As of when is not said: check them."
    # Recordings in a class that costs at each read.
    storage = CLUSTER.storage.model_copy(update={"read_gb": 1000.0})
    cold = CLUSTER.model_copy(update={"storage": storage, "as_of": "2026-11-30", "note": ""})
    read = estimate("s3://a", None, presets.cpu(), content, 5, RATES, cold)
    assert read.request_money and made.request_money is not None
    assert read.request_money - made.request_money == pytest.approx(content.size_bytes / 1e6, abs=0.02)
    assert read.prices == "Prices: they do not say where they come from. As of 2026-11-30."
    free = estimate("s3://a", None, presets.draft(), content, 0, RATES, Cluster.here())
    assert (free.compute_money, free.storage_money_month) == (None, None)
    assert any("preset cpu, not draft" in remark for remark in free.remarks)


def test_a_cluster_without_what_was_measured_is_refused(objects: ObjectStore, samples: str) -> None:
    gpus = Cluster(groups=(NodeGroup(name="gpu", count=1, cpus=0, gpus=8, price_per_hour=1),))
    content = measure(objects, objects.list(samples))
    with pytest.raises(ConfigError, match="measured on CPUs"):
        estimate("s3://a", None, presets.gpu(), content, 0, RATES, gpus)
    both = Cluster(groups=(*gpus.groups, *CLUSTER.groups))
    made = estimate("s3://a", None, presets.gpu(), content, 0, RATES, both)
    assert any("GPUs are paid for" in remark for remark in made.remarks)


def test_the_example_is_valid_and_says_that_its_prices_are_examples(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["plan", "--example"])
    assert result.stdout == (resources.files("flows") / "cluster.example.toml").read_text()
    (tmp_path / "cluster.toml").write_text(result.stdout)
    cluster = Cluster.read(tmp_path / "cluster.toml")
    assert "Example prices" in cluster.note
    assert "EXAMPLE PRICES" in result.stdout
    for text, reason in {
        "groups = 3": "groups",
        "[": "no TOML",
        'x = 1\n[[groups]]\nname="a"': "groups.0.count",
    }.items():
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ConfigError, match=reason):
            Cluster.read(tmp_path / "bad.toml")


def test_rates_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    for name in ("x.json", "missing.json"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_rates(str(tmp_path / name))


def test_the_command_in_both_forms(samples: str, tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text(json.dumps({"figures": {"rates": RATES.model_dump()}}))
    (tmp_path / "cluster.toml").write_text((resources.files("flows") / "cluster.example.toml").read_text())
    options = [
        "plan",
        f"s3://{samples}",
        "--rates",
        str(tmp_path / "rates.json"),
        "--cluster",
        str(tmp_path / "cluster.toml"),
    ]
    told = CliRunner().invoke(cli.app, [*options, "--json"])
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout.splitlines()[-1])
    assert facts["content"]["recordings"] == 11
    assert facts["currency"] == "USD"
    text = CliRunner().invoke(cli.app, options).stdout
    assert "Example prices, not anybody's" in text and "As of when is not said" in text
    assert "0.209 h" in text


def test_what_a_run_left_is_what_the_next_is_planned_by(illustrated: RunSummary, archive: tuple[str, str]) -> None:
    source, _ = archive  # of the same recordings
    made = illustrated
    rates = read_rates(f"{made.destination}/runs/{made.run_id}/summary.json")
    foretold = plan(
        source, rates=rates, cluster=Cluster(groups=(NodeGroup(name="x", count=1, cpus=2, price_per_hour=0),))
    )
    read_s = next(job["audio_s"] for job in made.jobs if job["job"] == "plan")
    assert foretold.content.recordings == 3
    assert foretold.content.audio_s == pytest.approx(read_s, rel=0.05)
    assert foretold.images == pytest.approx(made.new_images, abs=1)
    assert foretold.elapsed_s == pytest.approx(made.elapsed_s, rel=0.25)


def test_a_browsers_recording_without_a_length_counts_and_is_called_an_estimate(
    objects: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    for number in range(8):
        objects.put(bucket, f"{number}.webm", _browser_recording(30))
    content = measure(objects, objects.list(bucket), sample=4)
    assert content.estimated == content.sampled == 4
    assert content.audio_s == pytest.approx(240, rel=0.05)
    assert 0.15 * 240 <= content.audio_s_error < 0.5 * 240
    told = CliRunner().invoke(cli.app, ["plan", f"s3://{bucket}"])
    assert "8 of them tell no length: estimated by size and bit rate" in told.stdout
    assert "± 0%" not in told.stdout


def test_one_header_does_not_speak_for_all(objects: ObjectStore, bucket: str) -> None:
    objects.put(bucket, "a.wav", clip("sea-animals.opus", 0, 10))
    (item,) = objects.list(bucket)
    alone = measure(objects, [item])
    assert (alone.audio_s, alone.audio_s_error) == (10, 0)
    assert [line for line in _told(bucket) if line.startswith("audio")] == [
        "audio     0.00278 h, from the headers of 1"
    ]
    of_many = _part(".wav", 100, 100 * item.size_bytes, [(item.size_bytes, Header(Length(10.0)))])
    assert of_many.audio_s == pytest.approx(1000)
    assert 1.96 * of_many.variance**0.5 > 0.5 * of_many.audio_s
    alike = measure(objects, [item] * 50, sample=2)
    assert alike.audio_s_error > 0.01 * alike.audio_s


def test_what_is_archived_is_not_priced_until_it_is_restored(
    objects: ObjectStore, store: StoreInfo, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("glacier-1.wav", "glacier-2.wav", "deep.wav", "now.wav"):
        objects.put(bucket, name, clip("sea-animals.opus", 0, 10))
    refused = refusal(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
    with front(store.endpoint) as made:
        monkeypatch.setenv("S2I_S3_ENDPOINT", made.url)
        made.listing = archived("DEEP_ARCHIVE", "glacier")  # of `deep` it tells nothing, as of INTELLIGENT_TIERING
        made.answer = lambda method, path: refused if "glacier" in path or "deep.wav" in path else None
        found = plan(f"s3://{bucket}", rates=RATES)
        assert (found.content.recordings, found.content.archived, found.content.audio_s) == (1, 3, 10)
        assert any("3 recordings" in remark and "restored" in remark for remark in found.remarks)
        made.answer = lambda method, path: None  # restored, though the listing still names the class
        again = plan(f"s3://{bucket}", rates=RATES).content
        assert (again.recordings, again.archived) == (4, 0)


def _told(bucket: str) -> list[str]:
    return CliRunner().invoke(cli.app, ["plan", f"s3://{bucket}"]).stdout.splitlines()


def _browser_recording(seconds: int) -> bytes:
    """WebM as a browser's MediaRecorder writes it: no duration, no index."""
    file = io.BytesIO()
    noise = np.random.default_rng(0)
    with av.open(file, "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        for second in range(seconds):
            samples = noise.normal(0, 0.1, (1, 48_000)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, second * 48_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
