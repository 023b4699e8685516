"""Things heard in talk: each moment is encoded once, windows are cut from frames, and peaks have no doubles."""

import numpy as np
import pytest
import torch

from s2i_core import hearing
from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.hearing import CROP_S, FRAMES_HZ, HOP_S, OVERLAP_S, frames_of, hear, named, peaks, titled, windows
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.records import Thing
from tests.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def encoder():
    return tiny_pipeline().speech_encoder.eval()


@pytest.mark.parametrize("seconds", [0.01, 1.0, CROP_S - 2 * OVERLAP_S, 26.7])
def test_a_recording_has_a_frame_for_each_moment(encoder, seconds):
    sound = np.random.default_rng(0).standard_normal(round(seconds * SAMPLING_RATE_HZ)).astype(np.float32) * 0.1
    frames = frames_of(encoder, sound)
    assert frames.shape == (max(1, round(seconds * FRAMES_HZ)), 8)


def test_a_moment_is_encoded_with_what_is_around_it(encoder):
    sound = np.random.default_rng(0).standard_normal(30 * SAMPLING_RATE_HZ).astype(np.float32) * 0.1
    frames = frames_of(encoder, sound)
    inner_s = CROP_S - 2 * OVERLAP_S
    # The second crop begins a second before the first one's share ends.
    start_s = inner_s - OVERLAP_S
    crop = sound[round(start_s * SAMPLING_RATE_HZ) : round((start_s + CROP_S) * SAMPLING_RATE_HZ)]
    with torch.inference_mode():
        alone = QueryTransformer.halve_rate(encoder(torch.from_numpy(log_mel(crop)[None]).float()))[0]
    first, skipped = round(inner_s * FRAMES_HZ), round(OVERLAP_S * FRAMES_HZ)
    torch.testing.assert_close(frames[first : first + 100], alone[skipped : skipped + 100], atol=1e-4, rtol=1e-3)


def test_windows_are_slices_with_their_middles():
    frames = torch.arange(50.0)[:, None]
    slices, middles = windows(frames, 0.4, hop_s=0.2)
    assert slices.shape == (10, 10, 1)
    torch.testing.assert_close(slices[1, :, 0], torch.arange(5.0, 15.0))
    assert middles[:2] == pytest.approx([0.2, 0.4])
    assert slices[-1, -1, 0] == 49  # the last frame stands for what follows


def test_windows_slid_over_frames_are_those_cut_from_them():
    torch.manual_seed(0)
    grounding, frames = Grounding(8, 2, 2, 16, 4, 8).eval(), torch.randn(60, 8)
    cut, _ = windows(frames, 0.8)
    numbers, _ = windows(torch.arange(60)[:, None], 0.8)
    with torch.inference_mode():
        slid = grounding.slide(grounding.read(frames), numbers[..., 0])
        torch.testing.assert_close(slid, grounding(cut))


def test_what_is_heard_is_as_probable_as_its_curve_says():
    torch.manual_seed(0)
    grounding, frames = Grounding(8, 1, 2, 16, 4, 8, slope=1.0, offset=-3.0).eval(), torch.randn(75, 8)
    torch.nn.init.zeros_(grounding.log_scale)
    vectors = torch.nn.functional.normalize(torch.randn(2, 8), dim=1).numpy()
    vocabulary = Vocabulary(["owl", "ship"], vectors, np.zeros((0, 8), np.float32))
    found = named(grounding, vocabulary, frames, least=0.0)
    assert found
    assert all(thing.confidence < 0.3 for thing in found)
    assert named(grounding, vocabulary, frames, least=0.5) == []
    assert [thing.start_s for thing in found] == sorted(thing.start_s for thing in found)
    for thing in found:
        np.testing.assert_allclose(thing.vector, vectors[vocabulary.titles.index(thing.title)], atol=1e-3)


def test_what_windows_of_one_width_alone_hear_is_less_probable_than_what_all_do():
    middles = np.array([0.5, 1.0, 1.5])
    by_width = [
        (np.array([[0.9, 0.0], [0.0, 0.0], [0.0, 0.9]], np.float32), middles),
        (np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.6]], np.float32), middles + 0.1),
        (np.array([[0.0, 0.0], [0.6, 0.0], [0.0, 0.9]], np.float32), middles + 0.2),
    ]
    agreed = [
        hearing._agreed(Thing(title, at_s - 0.1, at_s + 0.1, 0.9), by_width, ["door", "owl"])
        for title, at_s in (("door", 0.5), ("owl", 1.5))
    ]
    assert agreed == pytest.approx([0.3, 0.8])


def test_a_noun_without_a_picture_is_no_thing_unless_it_means_one():
    torch.manual_seed(0)
    owl, ship, far = torch.nn.functional.normalize(torch.randn(3, 8), dim=1).numpy()
    barge = 0.95 * ship + 0.1 * owl
    others = np.stack([far, barge / np.linalg.norm(barge)])
    vocabulary = Vocabulary(["owl", "ship"], np.stack([owl, ship]), others)
    shares = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.1, 0.9, 0.0]], np.float32)
    np.testing.assert_allclose(vocabulary.of_titles(shares), [[0.1, 0.6], [0.0, 0.1]], atol=1e-6)
    assert vocabulary.everything.shape == (4, 8)
    grounding, frames = Grounding(8, 1, 2, 16, 4, 8).eval(), torch.randn(75, 8)
    alone = named(grounding, Vocabulary(["owl", "ship"], vocabulary.vectors, others[:0]), frames, least=0.0)
    among = named(grounding, Vocabulary(["owl", "ship"], vocabulary.vectors, others[:1]), frames, least=0.0)
    assert max(thing.confidence for thing in among) < max(thing.confidence for thing in alone)


def test_things_lie_in_their_clip_and_no_clip_changes_another():
    listener = tiny_pipeline(grounded=True).model.encoder
    rng = np.random.default_rng(0)
    clips = [
        (at_s, at_s + length_s, log_mel(0.1 * rng.standard_normal(round(16000 * length_s)).astype(np.float32)))
        for at_s, length_s in ((2.0, 1.5), (10.0, 4.2))
    ]
    speech, found = hear(listener, clips, 0.0)
    assert len(speech) == len(found) == 2
    for (start_s, end_s, _), things in zip(clips, found, strict=True):
        assert things
        assert all(start_s <= thing.start_s < thing.end_s <= end_s for thing in things)
    (alone,) = hear(listener, clips[1:], 0.0)[1]
    assert [thing.title for thing in alone] == [thing.title for thing in found[1]]
    assert [thing.confidence for thing in alone] == pytest.approx([thing.confidence for thing in found[1]], abs=1e-4)


def test_another_library_gives_its_own_names():
    thing = Thing("owl", 0.0, 1.0, 0.9, np.array([1.0, 0.0], np.float16))
    (other,) = titled([thing], ["a ship", "a bird"], np.array([[0.0, 1.0], [0.8, 0.6]], np.float32))
    assert other == Thing("a bird", 0.0, 1.0, 0.9)


def confidence(*rows):
    """Middles every tenth of a second, and what is heard there."""
    array = np.array(rows, np.float32)
    return [(array, np.arange(len(array)) / 10)]


def test_a_peak_has_its_title_time_and_extent():
    (thing,) = peaks(confidence([0.1, 0.0], [0.5, 0.1], [0.9, 0.1], [0.6, 0.2], [0.2, 0.1]), ["owl", "ship"], 0.3)
    assert (thing.title, thing.confidence) == ("owl", pytest.approx(0.9))
    assert thing.start_s == pytest.approx(max(0.0, 0.1 - HOP_S))
    assert thing.end_s == pytest.approx(0.3 + HOP_S)


def test_of_two_things_at_one_time_the_surer_one_is_meant():
    found = peaks(confidence([0.9, 0.0], [0.0, 0.8], [0.0, 0.0], [0.0, 0.0], [0.0, 0.7]), ["owl", "ship"], 0.3)
    assert [(thing.title, thing.confidence) for thing in found] == [
        ("owl", pytest.approx(0.9)),
        ("ship", pytest.approx(0.7)),
    ]


def test_the_same_thing_soon_again_is_one_mention_and_later_another():
    rows = np.zeros((30, 1), np.float32)
    rows[[2, 9, 25], 0] = 0.9, 0.8, 0.7
    found = peaks([(rows, np.arange(30) / 10)], ["owl"], 0.3)
    assert [round((thing.start_s + thing.end_s) / 2, 1) for thing in found] == [0.2, 2.5]


def test_mentions_of_one_thing_share_no_moment():
    rows = np.full((40, 1), 0.35, np.float32)
    rows[[10, 30], 0] = 0.8, 0.6
    first, second = peaks([(rows, np.arange(40) / 10)], ["owl"], 0.5)
    assert first.end_s <= second.start_s < second.end_s
    rows[:] = 0.5
    rows[[10, 30], 0] = 0.8, 0.6
    assert len(peaks([(rows, np.arange(40) / 10)], ["owl"], 0.55)) == 1


def test_titles_that_are_drawn_twice_are_one():
    rows = confidence([0.9, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.8])
    assert [thing.title for thing in peaks(rows, ["owl", "owl"], 0.3)] == ["owl"]


def test_the_surest_width_of_window_decides():
    short, long = np.array([[0.4], [0.0]], np.float32), np.array([[0.8]], np.float32)
    (thing,) = peaks([(short, np.array([0.0, 5.0])), (long, np.array([0.1]))], ["owl"], 0.3)
    assert thing.confidence == pytest.approx(0.8)


def test_nothing_sure_is_nothing():
    assert peaks(confidence([0.1], [0.2]), ["owl"], 0.3) == []
