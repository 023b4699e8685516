"""The stages, called as Ray calls them: every error of a row becomes that row's outcome."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from archives import SAMPLES, speech
from tiny import tiny_pipeline

from cluster.jobs import plan, rows
from cluster.jobs.assemble import Assembler
from cluster.jobs.model import load
from cluster.jobs.stages import Decode, Draw, Encode
from s2i_core.config import ModelConfig, PoolConfig, changed
from s2i_core.errors import GenerationError, ModelError, StorageUnavailable
from s2i_core.illustrate import illustrate_file
from s2i_core.models import registry
from s2i_core.records import AudioObject, Failure
from s2i_core.storage.objects import ObjectStore
from s2i_core.weights import decoder_digest, digests, encoder_digest


def hear(request, *sources: AudioObject, stage: Decode | None = None):
    given = rows.table([{"row": n, **vars(source)} for n, source in enumerate(sources)], rows.OBJECTS)
    return [row for table in (stage or Decode(request))(given) for row in table.to_pylist()]


def listed(objects: ObjectStore, bucket: str, key: str, data: bytes) -> AudioObject:
    objects.put(bucket, key, data)
    return next(each for each in objects.list(bucket, key) if each.key == key)


def test_hear_gives_utterances_then_the_end(objects, bucket, request_for) -> None:
    source = listed(objects, bucket, "in/talk 1 'ü'.wav", speech(20))
    *utterances, last = hear(request_for(), source)
    end = rows.from_json(rows.End, last["end"])
    assert len(utterances) >= 2
    assert [each["index"] for each in utterances] == list(range(len(utterances)))
    assert last["index"] == len(utterances)
    assert end.failure is None
    assert end.heard.size_bytes == source.size_bytes
    assert abs(end.heard.duration_s - 20) < 0.1
    features = rows.array(utterances[0]["features"], np.float16, (80, -1))
    assert features.shape[1] % 200 == 0


@pytest.mark.parametrize(
    ("data", "error", "stage"),
    [
        (b"", "DecodeError", "decode"),
        ((SAMPLES / "not-audio.mp3").read_bytes(), "DecodeError", "decode"),
        (None, "ObjectGone", "read"),
    ],
)
def test_hear_bad_objects_do_not_stop_the_next(objects, bucket, request_for, data, error, stage) -> None:
    bad = listed(objects, bucket, "in/bad.mp3", data or b"soon gone")
    good = listed(objects, bucket, "in/good.wav", speech(6))
    if data is None:
        objects.delete(bucket, bad.key)
    heard = hear(request_for(), bad, good)
    first = rows.from_json(rows.End, heard[0]["end"])
    assert (first.failure.error, first.failure.stage, first.failure.subject) == (error, stage, bad.uri)
    assert first.failure.message
    assert first.failure.remedy
    assert rows.from_json(rows.End, heard[-1]["end"]).failure is None


def test_hear_tries_again_where_the_store_breaks_off(objects, bucket, request_for, monkeypatch) -> None:
    """A recording that breaks off in the middle is heard again from the start, and no utterance comes twice."""
    source = listed(objects, bucket, "in/talk.wav", speech(90))  # more than one read
    request = request_for()
    calm = hear(request, source)
    attempts = []

    class Breaking:
        def __init__(self, file, after):
            self._file, self._after = file, after

        def __getattr__(self, name):
            return getattr(self._file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def read(self, size=-1):
            if self._file.tell() > self._after:
                raise StorageUnavailable(source.uri, "it broke off", "Wait.")
            return self._file.read(size)

    def open_breaking(self, given):
        attempts.append(given)
        return Breaking(opened(self, given), 300_000 if len(attempts) < 3 else 1 << 40)

    opened = ObjectStore.open
    monkeypatch.setattr(ObjectStore, "open", open_breaking)
    assert hear(request, source) == calm
    assert len(attempts) == 3

    attempts.clear()
    monkeypatch.setattr(ObjectStore, "open", lambda self, given: Breaking(opened(self, given), 300_000))
    failure = rows.from_json(rows.End, hear(request, source)[-1]["end"]).failure
    assert (failure.error, failure.attempts, failure.retryable) == ("StorageUnavailable", 3, True)


def test_encode_a_bad_row_fails_alone(request_for) -> None:
    request = request_for()
    random = np.random.default_rng(0)

    def utterance(number: int, data: bytes):
        return {"row": number, "index": 0, "start_s": 0.0, "end_s": 1.0, "features": data}

    good = random.normal(size=(80, 200)).astype("<f2").tobytes()
    given = [
        utterance(0, good),
        utterance(1, good[:-7]),
        {"row": 0, "index": 1, "end": "kept"},
        utterance(2, np.full((80, 200), np.nan, "<f2").tobytes()),
        utterance(3, good),
    ]
    encoded = Encode(request, encoder_digest(request.config.model))(rows.table(given, rows.HEARD)).to_pylist()
    assert [each["row"] for each in encoded] == [0, 1, 0, 2, 3]
    assert [each["failure"] is not None for each in encoded] == [False, True, False, True, False]
    assert [each["end"] for each in encoded] == [None, None, "kept", None, None]
    assert encoded[0]["tokens"] == encoded[4]["tokens"]
    tokens = rows.array(encoded[0]["tokens"], np.float16, (-1, encoded[0]["token_width"]))
    assert tokens.shape == (4, 8)
    assert np.linalg.norm(rows.array(encoded[0]["pooled"], np.float32, (-1,))) == pytest.approx(1, abs=1e-3)


def test_encode_keeps_no_tokens_of_what_is_never_drawn(request_for) -> None:
    request = request_for()
    scenes = request.config.scenes.model_copy(update={"min_confidence": 1.0})
    strict = request.model_copy(update={"config": request.config.model_copy(update={"scenes": scenes})})
    features = np.random.default_rng(0).normal(size=(80, 200)).astype("<f2").tobytes()
    given = rows.table([{"row": 0, "index": 0, "start_s": 0.0, "end_s": 1.0, "features": features}], rows.HEARD)
    (drawn,), (unsure,) = (
        Encode(each, encoder_digest(each.config.model))(given).to_pylist() for each in (request, strict)
    )
    assert unsure["tokens"] == b"" and len(drawn["tokens"]) == 4 * 8 * 2
    assert unsure["confidence"] == drawn["confidence"] < 1 and unsure["pooled"] == drawn["pooled"]


def test_what_is_named_is_committed_with_the_recording_and_is_what_one_file_gives(
    objects, bucket, request_for, config, tmp_path
) -> None:
    tiny_pipeline(grounded=True).save_pretrained(tmp_path / "model")
    settings = {"model.checkpoint": str(tmp_path / "model"), "scenes.precision": 0.01}
    config = changed(config, settings)
    request = request_for(config=config)
    talk = speech(12)
    (tmp_path / "talk.wav").write_bytes(talk)
    source = listed(objects, bucket, "in/talk.wav", talk)
    heard = rows.table(hear(request, source), rows.HEARD)
    encoded = Encode(request, encoder_digest(config.model))(heard)
    (assembled,) = Assembler({0: source}).add(encoded)
    job = plan._Plan(request, None)
    job.commit([job._outcome(assembled)] * 2)

    made = illustrate_file(tmp_path / "talk.wav", tmp_path / "out", config, registry.load(config.model))
    things = {thing.thing_id: thing for thing in made.things}
    assert things
    found = {each["thing_id"]: each for each in job.lake.things.read().to_pylist()}
    assert found.keys() == things.keys()
    for thing_id, each in found.items():
        told = things[thing_id]
        assert (each["scene_id"], each["thing"], each["shown"]) == (told.scene_id, told.thing, told.shown)
        assert each["confidence"] == pytest.approx(told.confidence, abs=1e-3)
    planned = {each["scene_id"]: each for each in job.lake.scenes.read().to_pylist()}
    local = {scene.scene_id: (scene.things, scene.focus_extras) for scene in made.scenes}
    assert {name: (each["things"], each["focus_extras"]) for name, each in planned.items()} == local
    assert any(each.shown for each in made.things)
    assert (tmp_path / "out" / "things.jsonl").read_text().count("\n") == len(things)


def draw(stage: Draw, scenes):
    table = rows.table([vars(scene) for scene in scenes], rows.PLANNED)
    return stage(table).to_pylist()


def test_draw_adopts_what_a_killed_run_wrote(objects, bucket, request_for, make_scenes) -> None:
    request = request_for()
    scenes = make_scenes(request, 3)
    stage = Draw(request, decoder_digest(request.config.model))
    first = draw(stage, scenes)
    assert [each["failure"] for each in first] == [None] * 3
    assert [each["adopted"] for each in first] == [False] * 3
    for each in first:
        assert objects.head(bucket, each["key"]).size_bytes == each["size_bytes"]

    objects.delete(bucket, first[0]["key"])
    objects.put(bucket, first[1]["key"], b"not ours")
    again = draw(Draw(request_for(run_id="later"), stage._model.decoder_digest), scenes)
    assert [each["adopted"] for each in again] == [False, False, True]
    assert again[2] == first[2] | {"adopted": True, "run_id": "later"}
    assert first[2]["shows"] and first[2]["alt"]
    # The same picture is drawn again, byte for byte.
    assert [each["sha256"] for each in again] == [each["sha256"] for each in first]


def test_draw_a_bad_scene_fails_alone(request_for, make_scenes, monkeypatch) -> None:
    request = request_for()
    scenes = make_scenes(request, 4)
    scenes[1] = dataclasses.replace(scenes[1], focus_tokens=scenes[1].focus_tokens[:-3])
    stage = Draw(request, decoder_digest(request.config.model))
    draws = stage._model.decoder.draw
    bad_seed = int(scenes[3].scene_id, 16) & ((1 << 63) - 1)

    def not_finite(embeddings, seeds, *more):
        if bad_seed in seeds:
            raise GenerationError(f"seeds {seeds}", "the picture is not finite", "Try another dtype.")
        return draws(embeddings, seeds, *more)

    monkeypatch.setattr(stage._model.decoder, "draw", not_finite)
    drawn = draw(stage, scenes)
    failures = [None if each["failure"] is None else rows.from_json(Failure, each["failure"]) for each in drawn]
    assert [failure and failure.error for failure in failures] == [None, "ModelError", None, "GenerationError"]
    assert "focus_tokens does not fit" in failures[1].message
    assert [failure.stage for failure in failures if failure] == ["generate", "generate"]
    assert [each["scene_id"] for each in drawn] == [scene.scene_id for scene in scenes]
    assert failures[3].scene_id == scenes[3].scene_id
    assert failures[3].recording_id == scenes[3].recording_id


def test_draw_tries_a_put_again(request_for, make_scenes, monkeypatch) -> None:
    request = request_for()
    scenes = make_scenes(request, 2)
    stage = Draw(request, decoder_digest(request.config.model))
    calls: dict[str, int] = {}
    put = ObjectStore.put

    def slow_down(self, bucket, key, *more, **options):
        calls[key] = calls.get(key, 0) + 1
        if scenes[0].scene_id in str(options["metadata"]) or calls[key] < 3:
            raise StorageUnavailable(key, "slow down", "Wait.")
        return put(self, bucket, key, *more, **options)

    monkeypatch.setattr(ObjectStore, "put", slow_down)
    drawn = draw(stage, scenes)
    failure = rows.from_json(Failure, drawn[0]["failure"])
    assert (failure.stage, failure.attempts, failure.retryable) == ("write", 3, True)
    assert drawn[1]["failure"] is None
    assert sorted(calls.values()) == [3, 3]


def test_a_worker_with_another_checkpoint_is_unfit(config) -> None:
    for part in ("encoder", "decoder"):
        with pytest.raises(ModelError, match="the driver has 0123"):
            load(config.model, PoolConfig(), **{part: "0123"})
        with pytest.raises(ModelError, match="no saved pipeline"):
            {"encoder": encoder_digest, "decoder": decoder_digest}[part](ModelConfig(checkpoint="/nowhere"))


def test_the_digests_from_files_are_the_models(config) -> None:
    names = digests(config)
    made = load(config.model, PoolConfig(), encoder=names.encoder, decoder=names.decoder)
    assert (made.encoder_digest, made.decoder_digest, made.digest) == (names.encoder, names.decoder, names.model)
