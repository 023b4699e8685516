"""An M4A with chapters and pictures, read by parsers that we did not write."""

import io

import av
import mutagen.mp4 as mp4
import pytest

from packs.episodes import chapters, encoded, jpeg, packets
from s2i_core.errors import DecodeError
from s2i_core.packs.m4a import illustrate_m4a


@pytest.fixture(scope="module")
def m4a():
    file = io.BytesIO(encoded("aac", "ipod", metadata={"title": "Farm"}))
    tags = mp4.MP4(file)
    tags["covr"] = [mp4.MP4Cover(jpeg(), mp4.MP4Cover.FORMAT_JPEG)]
    tags["----:com.example:TAG"] = [mp4.MP4FreeForm(b"freeform \xc3\xbc")]
    tags["pcst"] = True
    tags["purl"] = ["https://example.org/feed.xml"]
    tags["catg"] = ["Nature"]
    file.seek(0)
    tags.save(file)
    return file.getvalue()


@pytest.mark.parametrize("count", [1, 28, 300])
def test_titles_pictures_and_sound(m4a, tmp_path, count):
    made = chapters(tmp_path, count, each_s=3 / count)
    target = tmp_path / "out.m4a"
    illustrate_m4a(io.BytesIO(m4a), target, made)
    assert packets(str(target)) == packets(io.BytesIO(m4a))
    with av.open(str(target)) as container:
        titled = [each for each in made if each.title]
        assert [each["metadata"]["title"] for each in container.chapters()] == [each.title for each in titled]
        starts = [each["start"] * each["time_base"] for each in container.chapters()]
        assert starts == pytest.approx([each.start_s for each in titled], abs=0.002)
        thumbnails = av.stream.Disposition.timed_thumbnails
        (shown,) = (each for each in container.streams.video if each.disposition & thumbnails)
        # The first comes twice, as a cover of its own.
        times = sorted({float(each.pts * each.time_base) for each in container.demux(shown) if each.size})
        assert times == pytest.approx([each.start_s for each in made], abs=0.002)
    assert target.read_bytes()[4:12] == b"ftypM4A "
    assert target.read_bytes().index(b"moov") < target.read_bytes().index(b"mdat")


def test_metadata_that_a_remux_loses_is_kept(m4a, tmp_path):
    illustrate_m4a(io.BytesIO(m4a), tmp_path / "out.m4a", chapters(tmp_path, 3, each_s=1.0))
    before, after = mp4.MP4(io.BytesIO(m4a)).tags, mp4.MP4(tmp_path / "out.m4a").tags
    assert dict(after) == dict(before) and len(before) >= 6


def test_no_chapter_copies_the_sound(m4a, tmp_path):
    illustrate_m4a(io.BytesIO(m4a), tmp_path / "out.m4a", [])
    assert packets(str(tmp_path / "out.m4a")) == packets(io.BytesIO(m4a))
    assert mp4.MP4(tmp_path / "out.m4a")["covr"]


def test_what_is_no_m4a_is_refused(tmp_path):
    with pytest.raises(DecodeError):
        illustrate_m4a(io.BytesIO(b"no sound" * 100), tmp_path / "out.m4a", [])
