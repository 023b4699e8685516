"""Both jobs end to end on a real store and a real Ray: bad input, resuming, killed processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import psutil
import pytest
from archives import SAMPLES, check_images, mp3, speech
from fronts import archived, front, listings, refusal
from tiny import tiny_library

from cluster.jobs.illustrate import illustrate
from cluster.jobs.plan import plan
from cluster.jobs.request import JobSummary, Progress
from s2i_core.config import ImageConfig, ModelConfig, changed
from s2i_core.errors import ModelError, StorageError
from s2i_core.identity import image_id
from s2i_core.listing import Listing
from s2i_core.models import registry
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.records import Status
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place
from s2i_core.weights import digests
from tests.chaos.proxy import proxy

pytestmark = pytest.mark.usefixtures("ray_session")


def test_a_job_takes_the_listing_it_is_given(store, objects, bucket, request_for) -> None:
    objects.put(bucket, "in/a.mp3", b"no audio")
    objects.put(bucket, "in/notes.txt", b"no recording")
    with front(store.endpoint) as made:
        request = request_for(store=store.settings().model_copy(update={"endpoint_url": made.url}), listing="here")
        listed = Listing(objects, Place.of(request.source), request.config.source).complete()
        objects.put(bucket, "in/later.mp3", b"not audio")
        objects.put(bucket, "out/here", listed.to_parquet())
        for given, rows_in in ((None, 1), (listed, 0)):
            summary = plan(request, None, given)
            assert (summary.rows_in, summary.listed, summary.left_out) == (rows_in, 2, 1)
        assert listings(made.seen, bucket, "in/") == []
        assert plan(request.model_copy(update={"listing": None})).rows_in == 1
        assert len(listings(made.seen, bucket, "in/")) == 1


def test_an_archive(objects, bucket, request_for, lake, tmp_path) -> None:
    talk, other = speech(25), speech(20, start_s=40)
    archive = {
        "in/a talk.wav": talk,
        "in/b.mp3": mp3("castle-tale.mp3", 0.2),
        "in/broken.mp3": (SAMPLES / "not-audio.mp3").read_bytes(),
        "in/copy of a.wav": talk,
        "in/e ünï ‘q’.wav": other,
        "in/e2.wav": other,
        "in/empty.mp3": b"",
        "in/gone.mp3": mp3("castle-tale.mp3", 0.1),
        "in/notes.txt": b"no recording",
    }
    for key, data in archive.items():
        objects.put(bucket, key, data)

    # A limit takes the first of the listing.
    first = request_for(limit=2)
    summary = plan(first)
    assert (summary.rows_in, summary.ok, summary.left_out, summary.unchanged) == (2, 2, 1, 0)
    assert objects.get(bucket, f"out/runs/{first.run_id}/plan.json") == summary.model_dump_json(indent=2).encode()

    # The next run takes up the others; one of them is deleted between the listing and the reading.
    told: list[Progress] = []

    def watch(progress: Progress) -> None:
        if not told:
            objects.delete(bucket, "in/gone.mp3")
        told.append(progress)

    second = request_for()
    summary = plan(second, watch)
    assert (summary.rows_in, summary.ok, summary.skipped, summary.failed) == (6, 1, 2, 3)
    assert (summary.unchanged, summary.left_out) == (2, 1)
    assert (told[0].done, told[0].total, told[-1].done, told[-1].failed) == (0, 6, 6, 3)

    recordings = {each["source_uri"].rpartition("/")[2]: each for each in lake.recordings.read().to_pylist()}
    outcomes = {name: (each["status"], each["retryable"]) for name, each in recordings.items()}
    copies = {name for name in ("e ünï ‘q’.wav", "e2.wav") if outcomes[name][0] == "skipped"}
    assert len(copies) == 1  # whichever came second
    assert {name: outcome for name, outcome in outcomes.items() if not name.startswith("e ") and name != "e2.wav"} == {
        "a talk.wav": ("ok", False),
        "b.mp3": ("ok", False),
        "broken.mp3": ("failed", False),
        "copy of a.wav": ("skipped", False),
        "empty.mp3": ("failed", False),
        "gone.mp3": ("failed", True),
    }
    assert recordings["copy of a.wav"]["reason"] == "duplicate"
    assert recordings["copy of a.wav"]["recording_id"] == recordings["a talk.wav"]["recording_id"]
    failures = {each["subject"].rpartition("/")[2]: each for each in lake.failures.read().to_pylist()}
    assert {name: each["error"] for name, each in failures.items()} == {
        "broken.mp3": "DecodeError",
        "empty.mp3": "DecodeError",
        "gone.mp3": "ObjectGone",
    }
    assert all(each["message"] and each["remedy"] for each in failures.values())

    scenes = lake.scenes.read().to_pylist()
    by_recording = Counter(each["recording_id"] for each in scenes if each["status"] == Status.OK)
    planned = [each for each in recordings.values() if each["status"] == Status.OK]
    assert by_recording == {each["recording_id"]: each["scenes"] for each in planned}
    assert all(each["scenes"] >= 2 for each in planned)

    # Nothing is left to plan, and every scene gets one image.
    summary = plan(request_for())
    assert (summary.rows_in, summary.unchanged) == (0, 7)
    wanted = sorted(each["scene_id"] for each in scenes if each["status"] == Status.OK)
    third = request_for()
    summary = illustrate(third)
    assert (summary.rows_in, summary.ok, summary.images, summary.failed) == (len(wanted), len(wanted), len(wanted), 0)
    assert sorted(check_images(objects, bucket, lake)) == wanted
    stored = objects.get(bucket, f"out/runs/{third.run_id}/illustrate.json")
    assert JobSummary.model_validate_json(stored) == summary
    image = lake.images.read().to_pylist()[0]
    assert objects.get(bucket, image["key"])[:4] == b"RIFF"
    assert image["image_id"] == image_id(image["scene_id"], summary.decoder_digest, summary.image_digest)
    summary = illustrate(request_for())
    assert (summary.rows_in, summary.images) == (0, 0)

    # Another decoder, or another library, listens to nothing again and draws all.
    config = third.config
    house = SpriteLibrary.joined([tiny_library(), tiny_library()])
    house.embed(registry.load(config.model))
    house.save(tmp_path)
    for change in ({"model.decoder.kind": "collage"}, {"model.decoder.library": str(tmp_path)}):
        other = request_for(config=changed(config, change))
        assert plan(other).rows_in == 0
        summary = illustrate(other)
        assert (summary.rows_in, summary.images) == (len(wanted), len(wanted))


def test_a_killed_worker_loses_nothing(objects, bucket, request_for, make_scenes, lake, config) -> None:
    request = request_for(config=slow(config))
    scenes = make_scenes(request, 6)
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.done and not killed:
            (worker,) = workers("Draw")
            worker.kill()
            killed.append(worker.pid)

    summary = illustrate(request, kill)
    assert killed
    assert (summary.rows_in, summary.ok, summary.failed) == (6, 6, 0)
    assert sorted(check_images(objects, bucket, lake)) == sorted(scene.scene_id for scene in scenes)


def test_a_killed_driver_is_continued(objects, bucket, request_for, make_scenes, lake, config, tmp_path) -> None:
    """SIGKILL in mid-job, with images written and no row committed: they are adopted, not drawn again."""
    late = config.resources.model_copy(update={"commit_rows": 1000, "commit_s": 600})
    request = request_for(config=slow(config).model_copy(update={"resources": late}))
    scenes = make_scenes(request, 10)
    file = tmp_path / "request.json"
    file.write_text(request.model_dump_json())
    program = (
        "import sys; from cluster.local import local_ray; from cluster.jobs.illustrate import illustrate;"
        "from cluster.jobs.request import JobRequest\n"
        "with local_ray(1): illustrate(JobRequest.model_validate_json(open(sys.argv[1]).read()))"
    )
    driver = subprocess.Popen([sys.executable, "-c", program, str(file)], cwd=SAMPLES.parent)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and len(written := list(objects.list(bucket, "out/images/"))) < 3:
        assert driver.poll() is None
        time.sleep(0.05)
    family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    assert len(family) >= 6
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    alive = [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    assert not alive
    assert 3 <= len(written) < 10
    assert lake.images.count() == 0
    before = {each.key: each.etag for each in objects.list(bucket, "out/images/")}

    summary = illustrate(request)
    assert (summary.rows_in, summary.ok, summary.failed) == (10, 10, 0)
    assert summary.adopted == len(before)
    assert sorted(check_images(objects, bucket, lake)) == sorted(scene.scene_id for scene in scenes)
    after = {each.key: each.etag for each in objects.list(bucket, "out/images/")}
    assert before.items() <= after.items()


def test_two_jobs_at_once_do_not_spoil_each_other(objects, bucket, request_for, make_scenes, lake) -> None:
    request = request_for()
    scenes = make_scenes(request, 10)
    summaries: list[JobSummary] = []
    threads = [threading.Thread(target=lambda: summaries.append(illustrate(request_for()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(each.ok, each.failed) for each in summaries] == [(10, 0)] * 2
    assert sum(each.images for each in summaries) == 10
    assert sorted(check_images(objects, bucket, lake)) == sorted(scene.scene_id for scene in scenes)


def test_several_pictures_of_each_scene(objects, bucket, request_for, make_scenes, lake, config) -> None:
    request = request_for()
    scenes = make_scenes(request, 3)
    assert illustrate(request).images == 3
    several = request_for(config=changed(config, {"image.variants": 3}))
    summary = illustrate(several)
    assert (summary.rows_in, summary.ok, summary.images) == (6, 6, 6)  # the first ones are there
    rows = lake.images.read(["scene_id", "variant", "key"]).to_pylist()
    wanted = {(scene.scene_id, variant) for scene in scenes for variant in range(3)}
    assert {(each["scene_id"], each["variant"]) for each in rows} == wanted and len(rows) == 9
    assert all(objects.head(bucket, each["key"]) for each in rows)
    assert illustrate(several).rows_in == 0


def test_a_store_that_refuses_every_tenth_request(
    store, objects, bucket, request_for, make_scenes, lake, record_property
) -> None:
    """503 SlowDown, in the words of S3; tests/chaos has the long form."""
    scenes = make_scenes(request_for(), 6)
    with proxy(store.endpoint, refuse=0.1) as between:
        summary = illustrate(request_for(store=S3Settings(endpoint_url=between.endpoint)))
    record_property("refused", between.refused)
    assert between.refused > 0
    assert (summary.ok, summary.failed, summary.images) == (6, 0, 6)
    assert sorted(check_images(objects, bucket, lake)) == sorted(scene.scene_id for scene in scenes)


def test_nothing_starts_where_something_is_wrong(bucket, request_for, config) -> None:
    for wrong in ({"source": "s3://there-is-no-such-bucket/in"}, {"destination": "s3://there-is-no-such-bucket"}):
        with pytest.raises(StorageError, match="there-is-no-such-bucket"):
            plan(request_for(**wrong))
    nowhere = config.model_copy(update={"model": ModelConfig(checkpoint="/nowhere")})
    for job in (plan, illustrate):
        with pytest.raises(ModelError, match="no saved pipeline"):
            job(request_for(config=nowhere))


def slow(config):
    """Images that take some tenths of a second each, one a call."""
    resources = config.resources
    generate = resources.generate.model_copy(update={"batch_size": 1})
    return config.model_copy(
        update={
            "image": ImageConfig(size_px=64, steps=60),
            "resources": resources.model_copy(update={"generate": generate}),
        }
    )


def workers(stage: str) -> list[psutil.Process]:
    """The processes of this test's Ray that run a stage."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if f"MapWorker(MapBatches({stage}))" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_what_is_archived_or_refused_is_taken_up_when_it_can_be_read(
    store, objects, bucket, request_for, lake, config
) -> None:
    """What waits in an archive is tried by every run; what the store refuses, in so many runs; neither is lost."""
    for key in ("in/archived.wav", "in/denied.wav"):
        objects.put(bucket, key, speech(8, start_s=len(key)))
    uri = {name: f"s3://{bucket}/in/{name}.wav" for name in ("archived", "denied")}
    few = config.model_copy(update={"resources": config.resources.model_copy(update={"max_failed_runs": 2})})
    gone = refusal(403, "InvalidObjectState", "not valid", "<StorageClass>GLACIER</StorageClass>")
    denied = refusal(403, "AccessDenied", "an explicit deny in a service control policy")

    def outcome(**settings: object) -> JobSummary:
        return plan(request_for(config=few, store=S3Settings(endpoint_url=made.url, max_attempts=2), **settings))

    def rows() -> dict[str, dict]:
        table = lake.recordings.read(["source_uri", "status", "reason", "retryable"])
        return {row["source_uri"]: row for row in table.to_pylist()}

    def remedy(subject: str) -> str:
        told = [row for row in lake.failures.read().to_pylist() if row["subject"] == subject]
        return str(max(told, key=lambda row: row["created_at"])["remedy"])

    with front(store.endpoint) as made:
        made.answer = lambda method, path: gone if "archived" in path else denied if "denied" in path else None
        assert outcome().failed == 2
        assert "it is in Glacier (GLACIER)" in rows()[uri["archived"]]["reason"]
        assert "an explicit deny in a service control policy" in rows()[uri["denied"]]["reason"]
        assert rows()[uri["archived"]]["retryable"] and rows()[uri["denied"]]["retryable"]
        assert "restore-object" in remedy(uri["archived"])
        assert outcome().failed == 2
        assert rows()[uri["archived"]]["retryable"] and not rows()[uri["denied"]]["retryable"]
        assert "--retry-failed" in remedy(uri["denied"]) and "--retry-failed" not in remedy(uri["archived"])
        made.answer = lambda method, path: None  # restored, and allowed: nothing of the objects changed
        assert (outcome().rows_in, rows()[uri["archived"]]["status"]) == (1, Status.OK)
        assert (outcome(retry_failed=True).rows_in, rows()[uri["denied"]]["status"]) == (1, Status.OK)


def test_what_aws_lists_as_archived_is_not_asked_for(
    store, objects, bucket, request_for, lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        objects.put(bucket, f"in/{number}.wav", speech(8, start_s=number))
    aws = S3Settings(endpoint_url="http://s3.us-east-1.amazonaws.com", allow_http=True)
    with front(store.endpoint) as made:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, made.url)
        made.listing = archived("DEEP_ARCHIVE", "wav")
        first = plan(request_for(store=aws))
        assert (first.rows_in, first.failed) == (3, 3)
        assert plan(request_for(store=aws)).rows_in == 0
        assert lake.failures.count() == 3
        assert not [url for method, url in made.seen if ".wav" in url and "list-type" not in url]
        restored = "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus>"
        made.listing = archived("DEEP_ARCHIVE", "wav", restored)
        request = request_for(store=aws)
        listed = ObjectStore(aws).list(bucket, "in/")
        pending = lake.unplanned(listed, digests(request.config))
        assert len(pending) == 3
