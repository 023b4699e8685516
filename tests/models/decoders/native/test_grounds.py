from pathlib import Path

import numpy as np
import pytest
import torch

from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.grounds import COARSE_PX, Grounds, coarse, start_picture


def four() -> Grounds:
    """Two of place 0 by day, one of it at time 2, one of place 1; each of one value."""
    pictures = np.broadcast_to(np.array([10, 20, 30, 40], np.uint8)[:, None, None, None], (4, 4, 4, 3)).copy()
    return Grounds(pictures, np.array([[0, 0, 0], [0, 0, 0], [0, 0, 2], [0, 1, 0]]))


def test_the_seed_decides_among_those_of_a_place() -> None:
    assert [int(four().choose(0, 0, 0, seed)[0, 0, 0]) for seed in (0, 1, 2, 2**40 + 1)] == [10, 20, 10, 20]
    assert int(four().choose(0, 0, 2, 7)[0, 0, 0]) == 30


def test_a_place_without_that_time_is_shown_by_day() -> None:
    assert int(four().choose(0, 1, 2, 5)[0, 0, 0]) == 40


def test_an_unknown_place_is_an_error() -> None:
    with pytest.raises(ModelError, match="setting 2 in style 0"):
        four().choose(0, 2, 0, 0)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    assert Grounds.load(tmp_path) is None
    four().save(tmp_path)
    again = Grounds.load(tmp_path)
    assert again is not None and len(again) == 4
    np.testing.assert_array_equal(again.pictures, four().pictures)
    np.testing.assert_array_equal(again.keys, four().keys)


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "grounds.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=r"grounds\.safetensors"):
        Grounds.load(tmp_path)
    Grounds(four().pictures[..., 0], four().keys).save(tmp_path)
    with pytest.raises(ModelError, match="it holds"):
        Grounds.load(tmp_path)


def test_coarse_is_the_mean_of_each_part() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:4, :2] = 200  # half of the first part
    found = coarse(picture)
    assert found.shape == (COARSE_PX, COARSE_PX, 3)
    assert found[0, 0].tolist() == [100, 100, 100]
    assert not found[1:].any()


def test_references_stand_before_the_ground() -> None:
    canvas = torch.zeros(4, 32, 32)
    canvas[:, :16] = torch.tensor([0.5, -0.5, 0.0, 1.0])[:, None, None]
    start = start_picture(np.full((4, 4, 3), 255, np.uint8), canvas)
    assert start[:, 0, 0].tolist() == [0.5, -0.5, 0.0]
    assert start[:, 31, 31].tolist() == [1.0, 1.0, 1.0]
