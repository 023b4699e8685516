"""A whole pack from rows and files, and packs of a bucket and of a folder."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import webvtt
from publish.recordings import square, tone, wav
from rows_for_tests import image, recording, scene
from small_archive import keys
from typer.testing import CliRunner

from packs.episodes import RATE_HZ, encoded, jpeg
from s2i_core.cli import app
from s2i_core.config import AudioConfig, PackConfig, ProvenanceConfig
from s2i_core.errors import ConfigError
from s2i_core.packs.destinations import Bucket, Folder, destination
from s2i_core.packs.episode import Rows
from s2i_core.packs.pack import Pack, loudness, write_pack
from s2i_core.packs.publish import pending, publish
from s2i_core.provenance.authority import DEVELOPMENT
from s2i_core.provenance.authority import keys as keys_of
from s2i_core.provenance.verify import verify
from s2i_core.records import Status, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

THINGS = (["cow", "barn"], ["horse"], None, ["boat"])
PUBLIC = PackConfig(base_url="https://cdn.example.org/talks", film=False)
SIGNED = ProvenanceConfig()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the development authority is made."""
    monkeypatch.setenv("S2I_HOME", str(tmp_path_factory.getbasetemp() / "home of packs"))


@pytest.fixture(scope="module")
def mp3() -> bytes:
    return encoded("libmp3lame", "mp3", 40.0)


def rows(count: int = 4, name: str = "a", **changes) -> Rows:
    """A recording of ten seconds a scene, all of which have a picture but the third."""
    scenes = [scene(name, number, things=THINGS[number % 4]) for number in range(count)]
    if count > 2:
        scenes[2] = replace(scenes[2], status=Status.SKIPPED.value, reason="silence")
    images = [row(image(each)) for each in scenes if each.status == Status.OK.value]
    return Rows(row(recording(name, duration_s=10.0 * count, **changes)), [row(each) for each in scenes], images)


def written(folder: Path, of: Rows, sound: bytes, config: PackConfig = PUBLIC) -> Pack:
    return write_pack(folder, of, "A talk", io.BytesIO(sound), lambda _: square((200, 40, 40)), config)


def test_a_pack_has_every_format_and_its_manifest_says_so(tmp_path: Path, mp3: bytes) -> None:
    pack = written(tmp_path, rows(), mp3, PUBLIC.model_copy(update={"film": True}))
    assert pack.left_out == []
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == {file.name for file in pack.files} | {"manifest.json"}
    assert Pack.from_json((tmp_path / "manifest.json").read_bytes()) == pack
    names = {name for name in there if not name.startswith("images/")}
    assert names == {
        *("chapters.json", "description.txt", "episode.mp3", "thumbnails.vtt", "iiif.json", "film.mp4"),
        *("index.html", "manifest.json"),
    }
    cues = webvtt.read(str(tmp_path / "thumbnails.vtt"))
    assert [(cue.start, cue.end) for cue in cues][:2] == [
        ("00:00:00.000", "00:00:10.000"),
        ("00:00:10.000", "00:00:20.000"),
    ]
    assert all((tmp_path / cue.text).is_file() for cue in cues) and len(cues) == 3
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "data:image" not in page.replace("img-src 'self' data:", "") and 'src="episode.mp3"' in page
    assert "Cow and barn" in page and "Silence" in page and 'property="og:image"' in page


def test_the_iiif_manifest_is_whole(tmp_path: Path, mp3: bytes) -> None:
    written(tmp_path, rows(), mp3)
    made = json.loads((tmp_path / "iiif.json").read_text("utf-8"))
    (canvas,) = made["items"]
    painted = canvas["items"][0]["items"]
    assert made["type"] == "Manifest" and canvas["duration"] == 40.0
    assert [each["body"]["type"] for each in painted] == ["Sound", "Image", "Image", "Image"]
    assert painted[1]["target"] == f"{canvas['id']}#t=0.000,10.000"
    assert [each["label"]["none"] for each in made["structures"][0]["items"]] == [["Cow and barn"], ["Horse"], ["Boat"]]

    def ids(node):
        values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = [node["id"]] if isinstance(node, dict) and "body" in node else []
        return own + [each for value in values for each in ids(value)]

    assert len(ids(made)) == len(set(ids(made))) == 4
    assert all(each.startswith("https://cdn.example.org/talks/packs/id-a/") for each in ids(made))


def test_what_cannot_be_made_is_left_out_with_the_reason(tmp_path: Path) -> None:
    config = PackConfig(selection="apple", film=True)
    pack = written(tmp_path / "apple", rows(2), wav(tone(20, 0.3)), config)
    reasons = {each.name: each.reason for each in pack.left_out}
    assert set(reasons) == {"chapters.json", "description.txt", "iiif.json"}
    assert "3 chapters or more" in reasons["chapters.json"] and "public addresses" in reasons["iiif.json"]
    assert {file.name for file in pack.files} >= {"episode.webm", "film.mp4", "index.html"}
    noise = written(tmp_path / "noise", rows(), b"no sound at all" * 100)
    assert {each.name for each in noise.left_out} == {"the sound", "index.html"}
    assert "chapters.json" in {file.name for file in noise.files}


def test_pictures_are_what_the_player_takes(tmp_path: Path, mp3: bytes) -> None:
    from PIL import Image

    wide = jpeg(size=(320, 180))
    for selection, size in (("all", (320, 180)), ("apple", (600, 600))):
        folder = tmp_path / selection
        config = PackConfig(selection=selection, film=False)
        pack = write_pack(folder, rows(), "A talk", io.BytesIO(mp3), lambda _: wide, config)
        files = [folder / each["file"] for each in pack.shown]
        assert {Image.open(file).size for file in files} == {size}
        assert (files[0].read_bytes() == wide) is (selection == "all")
    broken = write_pack(
        tmp_path / "broken", rows(), "A talk", io.BytesIO(mp3), lambda of: wide if "a-1" in of["key"] else b"x", PUBLIC
    )
    assert broken.pictures == 1 and len(broken.left_out) == 2


def test_loudness_is_heard_at_moments(mp3: bytes) -> None:
    sound = wav(tone(5, 0.5), tone(5, 0.0))
    found = loudness(io.BytesIO(sound), 10.0, 20)
    assert min(found[:9]) > 0.8 and max(found[11:]) < 0.2
    assert loudness(io.BytesIO(b"no sound"), 10.0, 4) == [0.0] * 4
    assert RATE_HZ  # of `mp3`


@pytest.fixture
def archive(objects: ObjectStore, bucket: str, mp3: bytes) -> Bucket:
    """A destination with two illustrated recordings, one of which is gone by now, and a silent one."""
    lake = Lake(objects.settings, f"s3://{bucket}/out")
    objects.put(bucket, "in/Farm talk.mp3", mp3)
    (there,) = objects.list(bucket, "in/")
    whole = rows(4, "a", source_uri=there.uri, etag=there.etag, size_bytes=there.size_bytes)
    lost = rows(1, "gone", source_uri=f"s3://{bucket}/in/gone.mp3")
    lake.recordings.merge([whole.recording, lost.recording, row(recording("quiet", status=Status.SKIPPED.value))])
    lake.scenes.merge([*whole.scenes, *lost.scenes])
    lake.images.merge([*whole.images, *lost.images])
    for each in (*whole.images, *lost.images):
        objects.put(bucket, each["key"], square((40, 60, 200)))
    return Bucket(objects, lake)


def test_packs_of_a_bucket_are_written_once_and_again_when_something_changes(
    archive: Bucket, objects: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    done = publish(archive, PUBLIC, AudioConfig(), SIGNED, "run")
    assert [pack.title for pack in done.made] == ["Farm talk"]
    (failed,) = done.failures
    assert (failed.stage, failed.recording_id) == ("publish", "id-gone")
    assert failed.subject == f"s3://{bucket}/out/packs/id-gone/"
    there = keys(objects, f"s3://{bucket}", "out/packs/")
    assert {f"out/packs/id-a/{name}" for name in ("manifest.json", "chapters.json", "episode.mp3", "index.html")} < {
        *there
    }
    assert done.made[0].signed_by == DEVELOPMENT
    (shown, *_) = (key for key in there if key.endswith(".jpg"))
    found = verify(objects.get(bucket, shown), shown, keys_of(SIGNED))
    assert found.verdict == "genuine" and found.origin is not None
    assert (found.origin.recording_id, found.origin.shows) == ("id-a", "Cow and barn")
    assert "out/packs/index.html" in there and not any("id-gone" in key for key in there)
    gallery = objects.get(bucket, "out/packs/index.html").decode()
    assert 'href="id-a/index.html#t=0.0"' in gallery and "Cow and barn" in gallery

    waiting = pending(archive, PUBLIC, SIGNED, archive.recordings())
    assert [each.recording["recording_id"] for each in waiting] == ["id-gone"]

    objects.delete(bucket, "out/packs/id-a/manifest.json")  # as if the run had been killed
    objects.put(bucket, "out/packs/id-a/images/old.jpg", b"of another picture")
    done = publish(archive, PUBLIC, AudioConfig(), SIGNED, "run", ["Farm talk.mp3"])
    assert len(done.made) == 1 and not done.failures
    assert keys(objects, f"s3://{bucket}", "out/packs/") == there

    with pytest.raises(ConfigError, match="no illustrated recording"):
        publish(archive, PUBLIC, AudioConfig(), SIGNED, "run", ["other.mp3"])

    feed = tmp_path / "feed.xml"
    item = '<item><enclosure url="https://example.org/a/Farm%20talk.mp3"/></item>'
    feed.write_text(f'<rss version="2.0"><channel>{item}</channel></rss>')
    arguments = ["publish", archive.uri, "--recording", "id-a", "--no-film", "--feed", str(feed), "--json"]
    answer = CliRunner().invoke(app, [*arguments, "--base-url", PUBLIC.base_url])
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert told["made"] == [] and told["unchanged"] == 1 and told["feed"]["changed"] == 1
    spliced = (tmp_path / "feed.illustrated.xml").read_text()
    assert 'url="https://cdn.example.org/talks/packs/id-a/chapters.json"' in spliced and 'alt="Cow and barn"' in spliced
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_pack_that_takes_too_much_memory_fails_alone(archive: Bucket, objects: ObjectStore, bucket: str) -> None:
    objects.put(bucket, archive.recordings()[0].images[0]["key"], jpeg(size=(6000, 6000)))
    config = PUBLIC.model_copy(update={"memory_bytes": 64 << 20})
    done = publish(archive, config, AudioConfig(), ProvenanceConfig(sign=False), "run")
    assert [each.message for each in done.failures if each.recording_id == "id-a"] == [
        "making its pack takes more than 64 MiB of memory"
    ]
    assert len(publish(archive, PUBLIC, AudioConfig(), ProvenanceConfig(sign=False), "run").made) == 1


def test_packs_of_a_folder(tmp_path: Path, mp3: bytes) -> None:
    sound = tmp_path / "my talk.mp3"
    sound.write_bytes(mp3)
    folder = tmp_path / "talk"
    (folder / "images").mkdir(parents=True)
    of = rows(4, "a", source_uri=sound.as_uri())

    def lines(several) -> str:
        vectors = ("pooled", "focus_pooled", "focus_tokens", "focus_extras")
        kept = ({name: value for name, value in each.items() if name not in vectors} for each in several)
        return "".join(json.dumps(each, default=str) + "\n" for each in kept)

    (folder / "recording.json").write_text(lines([of.recording]))
    (folder / "scenes.jsonl").write_text(lines(of.scenes))
    (folder / "images.jsonl").write_text(lines(of.images))
    for each in of.images:
        (folder / each["key"]).write_bytes(square((40, 160, 60)))
    place = destination(str(folder))
    assert isinstance(place, Folder)
    assert len(publish(place, PUBLIC, AudioConfig(), SIGNED, "run").made) == 1
    assert (folder / "packs" / "id-a" / "episode.mp3").is_file() and (folder / "packs" / "index.html").is_file()
    assert pending(place, PUBLIC, SIGNED, place.recordings()) == []
    again = publish(place, PackConfig(film=False), AudioConfig(), SIGNED, "run")
    assert len(again.made) == 1 and not (folder / "packs" / "id-a" / "iiif.json").exists()
    assert [path.name for path in (folder / "packs").iterdir() if path.name.startswith(".")] == []
    with pytest.raises(ConfigError, match="no folder of"):
        destination(str(tmp_path))
