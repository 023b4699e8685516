"""Things heard in talk: each moment is encoded once, windows are cut from frames, and peaks have no doubles."""

import numpy as np
import pytest
import torch

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.hearing import CROP_S, FRAMES_HZ, HOP_S, OVERLAP_S, frames_of, hear, peaks, shares, windows
from s2i_core.models.speech.grounding import Grounding
from s2i_core.models.speech.projection import QueryTransformer
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


def test_shares_are_those_of_things_or_nothing(encoder):
    torch.manual_seed(0)
    grounding = Grounding(8, 1, 2, 16, 4, 8).eval()
    torch.nn.init.zeros_(grounding.log_scale)
    things = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    share, middles = shares(grounding, torch.randn(60, 8), things, 0.8)
    assert share.shape == (len(middles), 3)
    assert ((share > 0) & (share < 1)).all()
    assert (share.sum(1) < 1).all()


def test_long_recordings_are_listened_to_in_blocks_that_leave_no_seam(encoder, monkeypatch):
    torch.manual_seed(0)
    grounding, frames = Grounding(8, 1, 2, 16, 4, 8).eval(), torch.randn(500, 8)
    things = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    whole, middles = shares(grounding, frames, things, 0.8)
    monkeypatch.setattr("s2i_core.hearing._BLOCK", 150)
    blocks, same = shares(grounding, frames, things, 0.8)
    np.testing.assert_allclose(same, middles)
    torch.testing.assert_close(blocks, whole)


def test_what_is_heard_is_as_probable_as_its_curve_says(encoder):
    torch.manual_seed(0)
    grounding = Grounding(8, 1, 2, 16, 4, 8, slope=1.0, offset=-3.0).eval()
    torch.nn.init.zeros_(grounding.log_scale)
    sound = np.random.default_rng(0).standard_normal(3 * SAMPLING_RATE_HZ).astype(np.float32) * 0.1
    vectors = torch.nn.functional.normalize(torch.randn(2, 8), dim=1).numpy()
    found = hear(encoder, grounding, sound, ["owl", "ship"], vectors, least=0.0)
    assert found
    assert all(thing.confidence < 0.3 for thing in found)
    assert hear(encoder, grounding, sound, ["owl", "ship"], vectors, least=0.5) == []
    assert [thing.start_s for thing in found] == sorted(thing.start_s for thing in found)


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


def test_titles_that_are_drawn_twice_are_one():
    rows = confidence([0.9, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.8])
    assert [thing.title for thing in peaks(rows, ["owl", "owl"], 0.3)] == ["owl"]


def test_the_surest_width_of_window_decides():
    short, long = np.array([[0.4], [0.0]], np.float32), np.array([[0.8]], np.float32)
    (thing,) = peaks([(short, np.array([0.0, 5.0])), (long, np.array([0.1]))], ["owl"], 0.3)
    assert thing.confidence == pytest.approx(0.8)


def test_nothing_sure_is_nothing():
    assert peaks(confidence([0.1], [0.2]), ["owl"], 0.3) == []
