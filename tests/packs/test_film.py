"""A film whose picture changes with the sound, as FFmpeg plays it."""

import io

import av
import numpy as np
import pytest

from packs.episodes import COLOURS, encoded, packets, picture
from s2i_core.errors import DecodeError
from s2i_core.packs.film import film


@pytest.mark.parametrize(("codec", "form"), [("libmp3lame", "mp3"), ("aac", "ipod"), ("flac", "flac")])
def test_each_picture_starts_at_its_time(tmp_path, codec, form):
    sound = encoded(codec, form, 6.0)
    shown = [picture(tmp_path, 0, 0.4, 1.5), picture(tmp_path, 1, 1.5, 3.123), picture(tmp_path, 2, 3.123, 6.0)]
    film(io.BytesIO(sound), tmp_path / "film.mp4", shown, 6.0, size_px=96)
    with av.open(str(tmp_path / "film.mp4")) as container:
        seen = [(frame.time, frame.to_ndarray(format="rgb24")[48, 48]) for frame in container.decode(video=0)]
        assert container.duration / av.time_base == pytest.approx(6.0, abs=0.2)
    assert [time for time, _ in seen][:3] == pytest.approx([0.0, 1.5, 3.123], abs=0.005)
    for (_, colour), wanted in zip(seen[:3], COLOURS[:3], strict=True):
        assert np.abs(colour.astype(int) - wanted).max() < 40
    if codec != "flac":
        assert packets(str(tmp_path / "film.mp4")) == packets(io.BytesIO(sound))


def test_pictures_of_other_proportions_stand_on_black(tmp_path):
    shown = [picture(tmp_path, 0, 0, 1), picture(tmp_path, 1, 1, 2)]
    wide = type(shown[0])(**{**vars(shown[0]), "width_px": 128, "height_px": 64})
    film(io.BytesIO(encoded("aac", "ipod")), tmp_path / "film.mp4", [wide, shown[1]], 3.0, size_px=128)
    with av.open(str(tmp_path / "film.mp4")) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert frame.shape == (64, 128, 3)
    assert frame[32, 4].max() < 30 < frame[32, 64].max()


def test_no_picture_and_no_sound_are_named(tmp_path):
    with pytest.raises(DecodeError, match="no picture"):
        film(io.BytesIO(b""), tmp_path / "film.mp4", [], 1.0)
    with pytest.raises(DecodeError, match="no film"):
        film(io.BytesIO(b"no sound" * 50), tmp_path / "film.mp4", [picture(tmp_path, 0, 0, 1)], 1.0)
