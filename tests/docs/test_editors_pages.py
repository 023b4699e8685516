"""Every command of the pages for editors runs as it stands, on a destination of the name that they have."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from editing.conftest import drawn_elsewhere
from packs.episodes import jpeg
from publish.recordings import tone, wav
from tiny import tiny_pipeline
from typer.testing import CliRunner

from s2i_core.cli import app
from s2i_core.config import ProvenanceConfig
from s2i_core.illustrate import illustrate_file
from s2i_core.provenance.authority import keys
from s2i_core.storage.objects import ObjectStore

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
FEED = (
    '<rss version="2.0"><channel><item><enclosure url="https://example.org/A%20morning%20on%20the%20farm.mp3"/></item>'
    "</channel></rss>"
)
#: What a tiny model knows instead of what ours does.
TINY = {"sketch": "3d", "cow,barn": "red disc,blue disc"}
#: Exit codes that the page speaks of: a picture that nobody signed is not genuine.
CODES = {"s2i verify picture.jpg": 1}


def commands(page: str) -> list[str]:
    """The lines of a page's blocks that a shell would run, whole."""
    text = "\n".join(BLOCK.findall((DOCS / page).read_text("utf-8"))).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline(grounded=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, objects: ObjectStore, checkpoint: Path) -> Path:
    """A folder with all that the pages name, beside a destination `s3://pictures/talks`."""
    folder = tmp_path_factory.mktemp("editor")
    drawn_elsewhere(
        objects, checkpoint, folder, 12, uri="s3://pictures/talks", name="A morning on the farm.mp3", each_s=5.0
    )
    (folder / "feed.xml").write_text(FEED)
    (folder / "picture.jpg").write_bytes(jpeg())
    return folder


@pytest.fixture(autouse=True)
def at_home(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("S2I_HOME", str(place))


def run(line: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    words = shlex.split(line, comments=True)
    if words[0] == "export":
        monkeypatch.setenv(*words[1].split("=", 1))
        return ""
    assert words[0] == "s2i", line
    words = [TINY.get(word, word) for word in words[1:]]
    more = ["--checkpoint", str(checkpoint)] if words[0] in {"redo", "select"} else []
    # That the page and the pack follow takes seconds each time: seeing it once will do.
    more += ["--no-publish"] if words[0] in {"swap", "pin", "undo", "reject", "select"} else []
    done = CliRunner().invoke(app, [*words, *more])
    plain = line.split("  #", maxsplit=1)[0].strip()
    assert done.exit_code == CODES.get(plain, 0), f"{plain}\n{done.output}"
    return done.output


def test_publishing(checkpoint: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from editing.drawn_elsewhere import settings

    from s2i_core.models import registry

    (place / "talk.mp3").write_bytes(wav(tone(3.0, 0.3)))
    config = settings(checkpoint)
    illustrate_file(place / "talk.mp3", place / "talk", config, registry.load(config.model))
    lines = commands("publish.md")
    assert len(lines) == 4
    for line in lines:
        # What a folder without a scene has is said, and no fault of the page.
        if "publish talk" in line and not (place / "talk" / "images.jsonl").read_text().strip():
            continue
        run(line, checkpoint, monkeypatch)
    assert "podcast:chapters" in (place / "new.xml").read_text()


def test_editing(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in commands("editing.md") if not line.startswith("s2i serve")]
    told = {line.split("  ")[0]: run(line, checkpoint, monkeypatch) for line in lines}
    assert len(told) >= 10 and told["s2i edits"].count("\n") == 6, told["s2i edits"]


def test_provenance(checkpoint: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = keys(ProvenanceConfig())
    files = {"chain.pem": ours.chain, "key.pem": ours.key, "authorities.pem": ours.anchors, "mark.key": b"a secret"}
    for name, data in files.items():
        (place / name).write_bytes(data)
        (place / name).chmod(0o600)
    for line in commands("provenance.md"):
        run(line, checkpoint, monkeypatch)
    found = CliRunner().invoke(app, ["verify", "s3://pictures/talks/packs", "--json"])
    assert {json.loads(line)["verdict"] for line in found.stdout.splitlines()} == {"genuine"}
