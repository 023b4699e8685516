"""`s2i verify` tells apart what was signed, changed, saved again, and never ours."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from provenance.pictures import ORIGIN, again, drawn, file
from s2i_core.cli import app
from s2i_core.config import ProvenanceConfig
from s2i_core.provenance.authority import keys
from s2i_core.provenance.credentials import Signer
from s2i_core.provenance.watermark import embed


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S2I_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def pictures(home, tmp_path_factory):
    """A folder with a picture of every kind."""
    ours = keys(ProvenanceConfig())
    folder = tmp_path_factory.mktemp("pictures")
    marked = embed(drawn(1), ours.watermark)
    signed = Signer(ours).sign(file(marked, quality=95), "image/jpeg", ORIGIN)
    (folder / "genuine.jpg").write_bytes(signed)
    changed = bytearray(signed)
    changed[-50] ^= 16
    (folder / "changed.jpg").write_bytes(bytes(changed))
    (folder / "marked.webp").write_bytes(file(again(marked, "JPEG", 70), "WEBP", quality=80))
    (folder / "unknown.png").write_bytes(file(drawn(2), "PNG"))
    (folder / "unreadable.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S2I_HOME", str(tmp_path_factory.mktemp("stranger")))
        stranger = Signer(keys(ProvenanceConfig()))
        (folder / "untrusted.jpg").write_bytes(stranger.sign(file(drawn(3)), "image/jpeg", ORIGIN))
    return folder


def told(*arguments):
    answer = CliRunner().invoke(app, ["verify", *map(str, arguments), "--json"])
    return answer.exit_code, [json.loads(line) for line in answer.stdout.splitlines()]


def test_every_kind_is_told_apart(pictures):
    code, found = told(pictures)
    assert code == 1
    assert {each["name"].rpartition("/")[2].partition(".")[0]: each["verdict"] for each in found} == {
        name: name for name in ("genuine", "changed", "marked", "unknown", "unreadable", "untrusted")
    }
    (genuine,) = (each for each in found if each["verdict"] == "genuine")
    assert genuine["origin"]["start_s"] == 12.5 and genuine["origin"]["recording_id"] == ORIGIN.recording_id
    assert genuine["development"] and genuine["watermark"]


def test_one_file_and_what_people_read(pictures):
    code, found = told(pictures / "genuine.jpg")
    assert (code, len(found)) == (0, 1)
    said = CliRunner().invoke(app, ["verify", str(pictures / "genuine.jpg")]).stdout
    assert "12.5 to 20.0 s of recording ffff" in said and "A cow on a farm." in said and "DEVELOPMENT" in said
    assert CliRunner().invoke(app, ["verify", str(pictures / "none.jpg")]).exit_code == 2


def test_a_folder_in_object_storage(home, pictures, objects, bucket):
    for path in pictures.iterdir():
        objects.put(bucket, f"packs/{path.name}", path.read_bytes())
    objects.put(bucket, "packs/chapters.json", b"{}")
    code, found = told(f"s3://{bucket}/packs")
    assert (code, len(found)) == (1, 6)
    assert told(f"s3://{bucket}/packs/genuine.jpg")[0] == 0


def test_hostile_files_have_a_finding(home, tmp_path):
    rng = np.random.default_rng(0)
    good = Signer(keys(ProvenanceConfig())).sign(file(drawn()), "image/jpeg", ORIGIN)
    for number in range(10):
        data = bytearray(good)
        at = int(rng.integers(len(data) - 400))
        data[at : at + 400] = rng.bytes(400)
        (tmp_path / f"{number}.jpg").write_bytes(bytes(data[: int(rng.integers(at, len(data)))]))
    _, found = told(tmp_path)
    assert len(found) == 10 and not any(each["verdict"] == "genuine" for each in found)
