"""Scenes follow the talk, cover the recording, and are optimal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load

from s2i_core.config import SceneConfig
from s2i_core.records import SCENES, Gap, Scene, Skip, Thing, row
from s2i_core.scenes import Embedded, chosen_things, plan_scenes

WIDTH = 16


def topic(name: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A unit vector; different topics are nearly orthogonal."""
    vector = np.random.default_rng(name).normal(size=WIDTH)
    vector = vector / np.linalg.norm(vector) + noise * np.random.default_rng((seed, name)).normal(size=WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def utterance(start_s: float, end_s: float, pooled: np.ndarray, confidence: float = 0.5) -> Embedded:
    tokens = np.full((3, 4), start_s % 100, dtype=np.float16)
    return Embedded(start_s, end_s, tokens, pooled, confidence, speech_share=0.8)


def talk(names: list[int], each_s: float = 3.0, pause_s: float = 0.5, start_s: float = 0.0) -> list[Embedded]:
    """One utterance a name."""
    step = each_s + pause_s
    return [
        utterance(start_s + i * step, start_s + i * step + each_s, topic(name, 0.05, i)) for i, name in enumerate(names)
    ]


def pauses(utterances: list[Embedded], end_s: float | None = None) -> list[Gap]:
    """Silence wherever nobody speaks."""
    edges = [0.0, *(edge for each in utterances for edge in (each.start_s, each.end_s))]
    edges.append(edges[-1] if end_s is None else end_s)
    holes = zip(edges[::2], edges[1::2], strict=True)
    return [Gap(start, end, Skip.SILENCE) for start, end in holes if end > start]


def plan(utterances: list[Embedded], gaps: list[Gap] | None = None, **settings: float) -> list[Scene]:
    return plan_scenes(
        utterances,
        pauses(utterances) if gaps is None else gaps,
        SceneConfig(**settings),
        recording_id="r" * 32,
        model_digest="m",
        plan_digest="p",
        run_id="run",
    )


def assert_covers(scenes: list[Scene], end_s: float) -> None:
    assert [scene.index for scene in scenes] == list(range(len(scenes)))
    assert scenes[0].start_s == 0
    assert scenes[-1].end_s == end_s
    for before, after in itertools.pairwise(scenes):
        assert before.end_s == after.start_s


def test_the_picture_changes_with_the_topic() -> None:
    utterances = talk([1, 1, 1, 2, 2, 2, 2, 3, 3, 1, 1])
    scenes = plan(utterances, likeness_gain=1)
    assert [scene.start_s for scene in scenes] == [0.0, 10.5, 24.5, 31.5]
    assert_covers(scenes, utterances[-1].end_s)
    assert {scene.status for scene in scenes} == {"ok"}


def test_a_higher_cost_makes_fewer_scenes_and_lengths_are_kept() -> None:
    utterances = talk([i // 2 for i in range(40)])
    counts = [len(plan(utterances, change_cost=cost)) for cost in (0.0, 1.0, 5.0, 100.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    for cost in (0.0, 1.0, 100.0):
        for scene in plan(utterances, change_cost=cost, min_s=6, max_s=20):
            assert 6 <= scene.end_s - scene.start_s <= 20


def cost_of(utterances: list[Embedded], cuts: tuple[int, ...], config: SceneConfig) -> float:
    """The cost in the module's docstring, computed the long way."""
    edges_s = [*(each.start_s for each in utterances), utterances[-1].end_s]
    pauses_s = [after.start_s - before.end_s for before, after in itertools.pairwise(utterances)]
    total = 0.0
    for first, last in itertools.pairwise([0, *cuts, len(utterances)]):
        if not config.min_s <= edges_s[last] - edges_s[first] <= config.max_s:
            return float("inf")
        members = utterances[first:last]
        pairs = itertools.permutations(members, 2)
        alike = sum(a.duration_s * b.duration_s * float(a.pooled @ b.pooled) for a, b in pairs)
        total += config.length_cost * np.log((edges_s[last] - edges_s[first]) / config.usual_s) ** 2
        total += config.change_cost - config.likeness_gain * alike / sum(each.duration_s for each in members)
        if first:
            pause_s = members[0].start_s - utterances[first - 1].end_s
            total -= config.pause_gain * np.log(pause_s / np.median(pauses_s))
    return total


@pytest.mark.parametrize("trial", range(10))
def test_the_division_is_the_best_of_all(trial: int) -> None:
    config = SceneConfig(min_s=5, max_s=20, change_cost=0.7)
    names = np.random.default_rng(trial).integers(0, 3, size=9).tolist()
    utterances = [
        utterance(each.start_s, each.end_s, topic(name, 0.4, trial * 10 + i))
        for i, (name, each) in enumerate(zip(names, talk(names), strict=True))
    ]
    # Pauses of many lengths.
    moved_s = np.concatenate([[0.0], np.cumsum(np.random.default_rng(trial).uniform(0, 1, size=8))])
    utterances = [
        utterance(each.start_s + moved, each.end_s + moved, each.pooled)
        for each, moved in zip(utterances, moved_s, strict=True)
    ]
    everything = [cuts for n in range(9) for cuts in itertools.combinations(range(1, 9), n)]
    best = min(everything, key=lambda cuts: cost_of(utterances, cuts, config))
    ours = plan(utterances, min_s=5, max_s=20, change_cost=0.7)
    assert [scene.start_s for scene in ours] == [utterances[i].start_s for i in (0, *best)]


def test_without_likeness_pauses_and_lengths_decide() -> None:
    # As a model that hears nothing: no two utterances alike. Every fourth pause is longer.
    utterances = []
    at = 0.0
    for index in range(24):
        utterances.append(utterance(at, at + 2.5, topic(1000 + index)))
        at += 2.5 + (1.2 if index % 4 == 3 else 0.5)
    assert [scene.start_s for scene in plan(utterances)] == [each.start_s for each in utterances[::4]]
    even = plan(utterances, pause_gain=0, length_cost=100, usual_s=20)
    assert all(15 < scene.end_s - scene.start_s < 25 for scene in even)


@pytest.mark.parametrize("limit", [40, 90, 200])
def test_images_per_hour_are_limited(limit: int) -> None:
    utterances = talk([i // 2 for i in range(600)])
    free = plan(utterances, max_s=120)
    few = plan(utterances, max_s=120, images_per_hour=limit)
    assert len(free) * 3600 / utterances[-1].end_s > 250
    assert 0.7 * limit < len(few) * 3600 / utterances[-1].end_s <= limit
    assert_covers(few, utterances[-1].end_s)


def test_a_limit_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="needs scenes of 60 s"):
        SceneConfig(max_s=30, images_per_hour=60)


def test_long_gaps_are_skipped_rows_and_short_ones_belong_to_the_talk() -> None:
    first, second = talk([1, 1], start_s=2.0), talk([2, 2], start_s=40.0)
    gaps = [
        Gap(0, 2, Skip.SILENCE),
        Gap(5, 5.5, Skip.SILENCE),
        Gap(8.5, 10, Skip.SILENCE),
        Gap(10, 38, Skip.NO_SPEECH),
        Gap(38, 40, Skip.SILENCE),
        Gap(43, 43.5, Skip.SILENCE),
        Gap(46.5, 49, Skip.SILENCE),
    ]
    scenes = plan([*first, *second], gaps)
    assert_covers(scenes, 49)
    told = [(scene.start_s, scene.end_s, scene.status, scene.reason) for scene in scenes]
    assert told == [
        (0, 8.5, "ok", None),
        (8.5, 10, "skipped", "silence"),
        (10, 38, "skipped", "no_speech"),
        (38, 40, "skipped", "silence"),
        (40, 49, "ok", None),
    ]
    assert scenes[2].pooled == []
    assert scenes[2].focus_tokens == b""


def test_the_focus_is_the_most_confident_utterance() -> None:
    utterances = [
        utterance(0, 3, topic(1, 0.05, 1), 0.3),
        utterance(3.5, 6, topic(1, 0.05, 2), 0.9),
        utterance(6.5, 9, topic(1, 0.05, 3), 0.1),
    ]
    (scene,) = plan(utterances)
    assert (scene.focus_start_s, scene.focus_end_s, scene.confidence) == (3.5, 6, 0.9)
    np.testing.assert_array_equal(np.frombuffer(scene.focus_tokens, "<f2").reshape(3, 4), utterances[1].tokens)
    focus = np.frombuffer(scene.focus_pooled, "<f2")
    np.testing.assert_allclose(focus, utterances[1].pooled, atol=1e-3)
    assert np.linalg.norm(scene.pooled) == pytest.approx(1)
    assert float(np.asarray(scene.pooled) @ topic(1)) > 0.95


def test_what_cannot_be_drawn_is_skipped_with_its_vectors() -> None:
    utterances = [utterance(0, 6, topic(1), 0.1), utterance(6.5, 12, topic(2), 0.6)]
    low, high = plan(utterances, min_confidence=0.2, usual_s=6, length_cost=20)
    assert (low.status, low.reason) == ("skipped", "below_confidence")
    assert len(low.pooled) == WIDTH
    assert (high.status, high.reason) == ("ok", None)


def test_lengths_that_cannot_be_kept_do_not_stop_the_plan() -> None:
    (short,) = plan([utterance(0, 1, topic(1))])
    assert (short.start_s, short.end_s) == (0, 1)
    long = plan([utterance(0, 45, topic(1)), utterance(45.5, 90, topic(1))], max_s=30)
    assert [scene.start_s for scene in long] == [0, 45.5]
    opposed = plan([utterance(0, 2, topic(1)), utterance(2, 4, -topic(1))])
    assert np.isfinite(opposed[0].pooled).all()


def test_without_speech_the_gaps_are_all_there_is() -> None:
    scenes = plan([], [Gap(0, 2, Skip.NO_SPEECH), Gap(2, 30, Skip.SILENCE)])
    assert [scene.reason for scene in scenes] == ["no_speech", "silence"]
    assert plan([], []) == []


def test_ids_are_stable_and_distinct_and_rows_fit_the_table() -> None:
    import pyarrow as pa

    utterances = talk([i // 3 for i in range(30)])
    scenes = plan(utterances)
    assert [scene.scene_id for scene in scenes] == [scene.scene_id for scene in plan(utterances)]
    assert len({scene.scene_id for scene in scenes}) == len(scenes)
    assert pa.Table.from_pylist([row(scene) for scene in scenes], schema=SCENES).num_rows == len(scenes)


def test_a_day_of_talk_is_planned_in_seconds() -> None:
    utterances = talk([i // 5 for i in range(20_000)])
    assert_covers(plan(utterances), utterances[-1].end_s)


def naming(utterances: list[Embedded], *names: Sequence[tuple[str, float]]) -> list[Embedded]:
    """The utterances with things, each a tenth of a second after the other."""

    def things(each: Embedded, named: Sequence[tuple[str, float]]) -> list[Thing]:
        return [
            Thing(title, each.start_s + n / 10, each.start_s + n / 10 + 0.5, sure, topic(hash_of(title)).astype("f2"))
            for n, (title, sure) in enumerate(named)
        ]

    return [replace(each, things=things(each, named)) for each, named in zip(utterances, names, strict=True)]


def hash_of(title: str) -> int:
    return int.from_bytes(title.encode()[:4])


def plan_things(utterances: list[Embedded], least: float | None = 0.5, **settings: float) -> list[Scene]:
    return plan_scenes(
        utterances,
        pauses(utterances),
        SceneConfig(min_confidence=0.4, **settings),
        least=least,
        recording_id="r" * 32,
        model_digest="m",
        plan_digest="p",
        run_id="run",
    )


def test_a_picture_shows_what_its_scene_names_whoever_names_it() -> None:
    utterances = naming(talk([1, 1, 1]), [("owl", 0.9)], [], [("ship", 0.8), ("fog", 0.3), ("owl", 0.6)])
    (scene,) = plan_things(utterances)
    assert scene.things == ["owl", "ship"]
    assert scene.focus_start_s == utterances[2].start_s  # names most of them, though not most surely
    vectors = load(scene.focus_extras or b"")["things"]
    np.testing.assert_array_equal(vectors, [topic(hash_of(title)).astype("f2") for title in ("owl", "ship")])
    assert row(scene)["things"] == ["owl", "ship"]


def test_a_scene_that_names_nothing_surely_is_skipped_however_it_sounds() -> None:
    utterances = naming([utterance(0.0, 8.0, topic(1), confidence=0.9)], [("owl", 0.4)])
    (scene,) = plan_things(utterances)
    assert (scene.status, scene.reason, scene.things) == ("skipped", "below_confidence", [])
    (scene,) = plan_things(utterances, least=None)
    assert (scene.status, scene.things) == ("ok", None)


def test_of_many_things_the_surest_and_those_near_to_it_are_shown() -> None:
    names = [[("a1", 0.6)], [("b1", 0.7), ("c1", 0.7)], [("d1", 0.9)], [("e1", 0.6)]]
    (scene,) = plan_things(naming(talk([1, 1, 1, 1]), *names), min_s=14)
    assert scene.things == ["b1", "c1", "d1", "e1"]


def test_what_looks_alike_is_shown_once() -> None:
    (one,) = naming(talk([1]), [("prince", 0.6), ("king", 0.9), ("owl", 0.7)])
    alike = [replace(thing, vector=topic(9).astype("f2")) if thing.title != "owl" else thing for thing in one.things]
    assert [thing.title for thing in chosen_things([replace(one, things=alike)])] == ["king", "owl"]


def test_a_scene_ends_before_it_names_more_than_a_picture_shows() -> None:
    utterances = talk([1] * 8)
    names = [[(f"{n}a", 0.9), (f"{n}b", 0.9)] for n in range(8)]
    assert len(plan_things(naming(utterances, *names))) > len(plan_things(naming(utterances, *[[("owl", 0.9)]] * 8)))
