"""An MP3 with chapters, read by parsers that we did not write."""

import io

import av
import mutagen.id3 as id3
import pytest

from packs.episodes import chapters, encoded, packets
from s2i_core.errors import DecodeError
from s2i_core.packs.id3 import illustrate_mp3, read_tag


@pytest.fixture(scope="module")
def mp3():
    return encoded("libmp3lame", "mp3", metadata={"title": "Farm", "artist": "Anna"})


def illustrated(data, made):
    out = io.BytesIO()
    illustrate_mp3(io.BytesIO(data), out, made)
    out.seek(0)
    return out


def tagged(data, version, **options):
    """The MP3 with a rich tag of this version, written by mutagen."""
    file = io.BytesIO(data)
    tags = id3.ID3()
    for frame in (
        id3.TIT2(3, ["Ферма"]),
        id3.TPE1(3, ["Anna"]),
        id3.TXXX(3, "desc ü", ["value ü"]),
        id3.COMM(3, "eng", "note", ["a comment ü"]),
        id3.APIC(3, "image/png", 3, "cover ü", b"\x89PNG cover"),
        id3.WXXX(3, "home", "https://example.org"),
        id3.PRIV("owner", b"\x00\xff\x00private"),
        id3.TDRC(3, ["2024-05-01"]),
        id3.CHAP("theirs", 0, 1000, 0xFFFFFFFF, 0xFFFFFFFF, sub_frames=[id3.TIT2(3, ["Their chapter"])]),
        id3.CTOC("toc", 3, ["theirs"], sub_frames=[]),
    ):
        tags.add(frame)
    if version == 3:
        tags.update_to_v23()
    tags.save(file, v2_version=version, v1=0, **options)
    return file.getvalue()


def test_ffmpeg_and_mutagen_read_the_chapters_and_their_pictures(mp3, tmp_path):
    made = chapters(tmp_path, 28)
    out = illustrated(mp3, made)
    assert packets(io.BytesIO(out.getvalue())) == packets(io.BytesIO(mp3))
    with av.open(io.BytesIO(out.getvalue())) as container:
        read = container.chapters()
        assert container.metadata["title"] == "Farm" and container.metadata["artist"] == "Anna"
    assert [each["start"] for each in read] == [round(each.start_s * 1000) for each in made]
    titles = [each["metadata"]["title"] for each in read]
    assert [one for one, each in zip(titles, made, strict=True) if each.title] == [
        each.title for each in made if each.title
    ]
    assert titles[3] == titles[2]  # silent, for readers that do not know the table of contents
    tags = id3.ID3(out, translate=False)
    assert tags.version == (2, 3, 0)
    frames = {each.element_id: each for each in tags.getall("CHAP")}
    assert frames["chp1"].sub_frames["APIC:"].data == made[0].picture.file.read_bytes()
    assert tags["CTOC:toc"].child_element_ids == [f"chp{n}" for n in range(1, 29) if n % 4]


@pytest.mark.parametrize("version", [3, 4])
def test_frames_of_others_are_kept_and_chapters_replaced(mp3, tmp_path, version):
    out = illustrated(tagged(mp3, version), chapters(tmp_path, 2))
    tags = id3.ID3(out, translate=False)
    assert tags.version == (2, 3, 0)
    assert tags["TIT2"].text == ["Ферма"] and tags["TPE1"].text == ["Anna"]
    assert tags["TXXX:desc ü"].text == ["value ü"]
    assert tags["COMM:note:eng"].text == ["a comment ü"]
    assert tags["APIC:cover ü"].data == b"\x89PNG cover" and tags["APIC:cover ü"].type == 3
    assert tags["WXXX:home"].url == "https://example.org"
    assert tags["PRIV:owner:\x00\xff\x00private"].data == b"\x00\xff\x00private"
    assert tags["TYER"].text == ["2024"] and tags["TDAT"].text == ["0105"]
    assert [each.element_id for each in tags.getall("CHAP")] == ["chp1", "chp2"]
    assert packets(io.BytesIO(out.getvalue())) == packets(io.BytesIO(mp3))


def test_a_tag_of_version_2_2_is_kept(mp3, tmp_path):
    frames = b"TT2" + b"\x00\x00\x05" + b"\x00Farm" + b"PIC" + b"\x00\x00\x0a" + b"\x00PNG\x03\x00\x89PNG"
    frames += b"ZZZ\x00\x00\x01x" + bytes(20)
    bare = mp3[read_tag(io.BytesIO(mp3))[1] :]
    old = b"ID3\x02\x00\x00" + bytes([0, 0, 0, len(frames)]) + frames + bare
    tags = id3.ID3(illustrated(old, chapters(tmp_path, 1)), translate=False)
    assert tags["TIT2"].text == ["Farm"] and tags["APIC:"].mime == "image/png" and tags["APIC:"].data == b"\x89PNG"


def test_more_chapters_than_a_table_can_count(mp3, tmp_path):
    made = chapters(tmp_path, 600, each_s=0.005)
    out = illustrated(mp3, made)
    with av.open(io.BytesIO(out.getvalue())) as container:
        assert len(container.chapters()) == 600
    tags = id3.ID3(out, translate=False)
    listed = [child for name in tags["CTOC:toc"].child_element_ids for child in tags[f"CTOC:{name}"].child_element_ids]
    assert len(listed) == len(set(listed)) == 450


def test_none_and_a_file_without_a_tag(mp3, tmp_path):
    bare = mp3[read_tag(io.BytesIO(mp3))[1] :]
    assert read_tag(io.BytesIO(bare)) == ([], 0)
    out = illustrated(bare, [])
    assert out.getvalue()[10:] == bare
    assert packets(io.BytesIO(illustrated(bare, chapters(tmp_path, 1)).getvalue())) == packets(io.BytesIO(bare))


@pytest.mark.parametrize("cut", [5, 11, 30, 300])
def test_a_broken_tag_gives_an_error_or_a_file_with_the_same_sound(mp3, tmp_path, cut):
    rich = tagged(mp3, 4)
    broken = rich[:cut] + b"\xff" * 4 + rich[cut + 4 :]
    try:
        out = illustrated(broken, chapters(tmp_path, 1))
    except DecodeError:
        return
    assert len(id3.ID3(out, translate=False).getall("CHAP")) == 1
