"""A folder of illustrations becomes a library that a pipeline draws after."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tiny import tiny_pipeline
from typer.testing import CliRunner

from s2i_core import cli, steps
from s2i_core.build_library.folder import read_folder
from s2i_core.config import ImageConfig, ModelConfig, NativeDecoderConfig, changed
from s2i_core.errors import ConfigError, ModelError
from s2i_core.models import registry
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.presets import cpu
from s2i_core.weights import decoder_digest, encoder_digest

BALL = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="3" fill="#c33"/></svg>'


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A disc on transparent ground, twice, a square on white, a vector, a broken file and a blank one."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    disc = Image.new("RGBA", (90, 60))
    ImageDraw.Draw(disc).ellipse((20, 5, 70, 55), fill="purple")
    disc.save(folder / "disc.png")
    square = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(square).rectangle((50, 50, 149, 149), fill="navy")
    square.save(folder / "more" / "blue_square.jpg", quality=95)
    (folder / "broken.png").write_bytes(b"no picture")
    Image.new("RGBA", (10, 10)).save(folder / "blank.webp")
    (folder / "notes.txt").write_text("not looked at")
    (folder / "ball.svg").write_text(BALL)
    disc.save(folder / "disc_2.webp")
    return folder


def test_pictures_are_cut_out_and_bad_ones_named(pictures: Path) -> None:
    found = read_folder(str(pictures))
    assert [each.info.id for each in found.drawings] == ["ball.svg", "disc.png", "disc_2.webp", "more/blue_square.jpg"]
    assert [each.info.title for each in found.drawings] == ["ball", "disc", "disc", "blue square"]
    assert [(Path(each.path).name, each.reason.split(":")[0]) for each in found.left_out] == [
        ("blank.webp", "it is blank"),
        ("broken.png", "it cannot be read as a picture"),
    ]
    assert [each.reason for each in found.notes] == ["2 are called 'disc', any may be drawn: disc.png, disc_2.webp"]
    square = found.drawings[-1].cut.sprite
    assert square[64, 64, 2] > 100 > square[64, 64, 0]
    assert square[0, 0, 3] == 0
    assert (square[:, :, 3] > 128).mean() > 0.8  # cropped to the square


def test_a_table_says_what_drawings_are_called_and_whom_to_credit(pictures: Path) -> None:
    (pictures / "own.csv").write_text(
        "file;title;author;licence;url\ndisc.png;plum;Ann;CC-BY-4.0;https://a.org\ngone.png;pear;;;\n", "utf-8"
    )
    found = read_folder(str(pictures), "own.csv")
    info = found.drawings[1].info
    assert (info.concept, info.title, info.author, info.licence, info.url) == (
        *("plum", "plum", "Ann", "CC-BY-4.0", "https://a.org"),
    )
    assert [Path(each.path).name for each in found.notes] == ["gone.png"]
    with pytest.raises(ConfigError, match="no such table"):
        read_folder(str(pictures), "other.csv")
    (pictures / "names.csv").write_text("name\nx\n")
    with pytest.raises(ConfigError, match="no column called file"):
        read_folder(str(pictures))


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        read_folder(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="no picture in it"):
        read_folder(str(tmp_path))


def test_build_and_draw_after_it(pictures: Path, tmp_path: Path) -> None:
    tiny_pipeline(grounded=True).save_pretrained(tmp_path / "model")
    arguments = ["library", "build", str(pictures), "--out", str(tmp_path / "house"), "--json"]
    result = CliRunner().invoke(cli.app, [*arguments, "--checkpoint", str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["sprites"], len(facts["refused"]), len(facts["notes"])) == (4, 2, 1)
    page = Path(facts["report"]).read_text("utf-8")
    assert "Found by" in page and "broken.png: it cannot be read" in page and "Nearly the same as disc.png" in page

    own = ModelConfig(checkpoint=str(tmp_path / "model"), device="cpu")
    house = NativeDecoderConfig(library=str(tmp_path / "house"))
    config = own.model_copy(update={"decoder": house})
    model = registry.load(config)
    assert [info.style for info in model.decoder.library.infos] == ["house"] * 4
    large = model.decoder.library.large
    assert large is not None and len(large) == 4
    assert [large.rgba(info.id, 1024, 0.03).shape[0] for info in model.decoder.library.infos] == [1024, 256, 256, 256]
    assert model.decoder_digest == decoder_digest(config) != decoder_digest(own)
    assert model.encoder_digest == encoder_digest(config) == encoder_digest(own)
    speech = steps.encode([model.encoder.frontend(np.zeros(16000, np.float32))], model)
    (shown,) = steps.draw(speech, [1], ImageConfig(size_px=64, steps=2), model).shows
    assert {each.thing for each in shown.things} <= {"ball", "disc", "blue square"}


def test_a_library_of_another_checkpoint_is_refused(pictures: Path, tmp_path: Path) -> None:
    found = read_folder(str(pictures)).drawings
    library = SpriteLibrary.from_arrays([each.info for each in found], [each.cut.sprite for each in found])
    library.embed(tiny_pipeline(seed=1).model)
    library.embedded_by = "another"
    library.save(tmp_path / "house")
    tiny_pipeline().save_pretrained(tmp_path / "model")
    checkpoint = str(tmp_path / "model")
    with pytest.raises(ModelError, match="made with model another"):
        registry.load(ModelConfig(checkpoint=checkpoint, decoder=NativeDecoderConfig(library=str(tmp_path / "house"))))
    nowhere = NativeDecoderConfig(library=str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="no library here"):
        decoder_digest(ModelConfig(checkpoint=checkpoint, decoder=nowhere))


def test_the_old_name_of_the_setting_holds_for_a_version() -> None:
    with pytest.warns(DeprecationWarning, match=r"now model\.decoder\.library"):
        assert ModelConfig(library="house").decoder.library == "house"
    with pytest.warns(DeprecationWarning, match=r"now model\.decoder\.library"):
        assert changed(cpu(), {"model.library": "house"}).model.decoder.library == "house"
