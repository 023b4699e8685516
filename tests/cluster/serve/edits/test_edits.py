"""Editors over HTTP: with a right, with the service's own model, and with what follows."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow.compute as pc
import pytest
from editing.conftest import drawn_elsewhere
from editing.drawn_elsewhere import settings
from inprocess import InProcess, uvicorn_server
from tiny import tiny_pipeline
from typer.testing import CliRunner

from cluster.serve import keys
from cluster.serve.keys import Keys
from cluster.serve.settings import ServeSettings
from s2i_core.cli import app
from s2i_core.editing.redraw import ModelArtist, redrawn
from s2i_core.models import registry
from s2i_core.packs.destinations import Bucket
from s2i_core.steps import Planned
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

EPISODE = "/v1/episodes/id-a"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the development authority is made."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S2I_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline(grounded=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lake(objects: ObjectStore, checkpoint: Path, home: Path) -> Lake:
    return drawn_elsewhere(objects, checkpoint, home, 4)


@pytest.fixture(scope="module")
def client(lake: Lake, checkpoint: Path, home: Path) -> Iterator[httpx.Client]:
    """With keys for an editor, `ann`, another, `bob`, and one who only speaks."""
    file = home / "keys.json"
    made = {name: keys.add(file, name, 600, 60.0, edits=name != "phone") for name in ("ann", "bob", "phone")}
    chosen = ServeSettings(
        run=settings(checkpoint), store=lake.settings, destination=lake.uri, access="keys", keys_file=str(file)
    )
    with uvicorn_server(InProcess(chosen).app) as url, httpx.Client(base_url=url, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {made['ann']}"
        client.made = made  # type: ignore[attr-defined]
        yield client


def edit(client: httpx.Client, scene: str, who: str = "ann", **request: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {client.made[who]}"}  # type: ignore[attr-defined]
    return client.post(f"{EPISODE}/scenes/{scene}/edits", json=request, headers=headers)


def settled(client: httpx.Client) -> dict:
    """The episode, once what follows is written."""
    for _ in range(300):
        told = client.get(EPISODE).raise_for_status().json()
        if not told["publishing"]:
            assert told["stale"] == []
            return told
        time.sleep(0.1)
    raise AssertionError("it is still being written")


def test_an_editor_draws_again_and_the_pack_follows(
    client: httpx.Client, lake: Lake, objects: ObjectStore, checkpoint: Path
) -> None:
    (episode,) = client.get("/v1/episodes").raise_for_status().json()["episodes"]
    assert (episode["title"], episode["pictures"], episode["url"]) == ("Farm talk", 4, EPISODE)
    first = client.get(EPISODE).json()["scenes"][0]
    assert len(first["pictures"]) == 2 and first["decision"] == "none"
    answer = edit(client, first["scene_id"], kind="redo", things=["Green disc"], note="greener")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["edit"]["editor"], told["edit"]["via"], told["edit"]["note"]) == ("ann", "api", "greener")
    new = next(each for each in told["scene"]["pictures"] if each["image_id"] == told["scene"]["shown"])
    assert new["things"] == ["Green disc"] and new["edit_id"] == told["edit"]["edit_id"]
    file = client.get(new["url"])
    assert file.headers["content-type"] == "image/webp"

    # The service drew what the model of any other process draws from that row.
    (row,) = lake.images.read(filter=pc.field("image_id") == new["image_id"]).to_pylist()
    mine = pc.field("scene_id") == first["scene_id"]
    (scene,) = lake.scenes.read(list(Planned.__annotations__), mine).to_pylist()
    config = settings(checkpoint)
    again = redrawn(row, Planned(**scene), config, ModelArtist(registry.load(config.model)))
    assert again == file.content and hashlib.sha256(again).hexdigest() == row["sha256"]

    settled(client)
    assert new["image_id"] in Bucket(objects, lake).packs()["id-a"].shown[0]["file"]
    assert edit(client, first["scene_id"], kind="undo").json()["scene"]["shown"] == first["shown"]
    settled(client)
    assert new["image_id"] not in Bucket(objects, lake).packs()["id-a"].shown[0]["file"]


def test_two_editors_at_once_lose_nothing(client: httpx.Client, lake: Lake, objects: ObjectStore) -> None:
    scenes = client.get(EPISODE).json()["scenes"]
    wanted = [(scenes[1 + number % 2]["scene_id"], "ann" if number % 2 else "bob") for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda each: edit(client, each[0], each[1], kind="reject"), wanted))
    assert [each.status_code for each in answers] == [201] * 6
    told = settled(client)["scenes"]
    assert sorted(len(each["edits"]) for each in told[1:3]) == [3, 3]
    assert [each["decision"] for each in told[:4]] == ["none", "rejected", "rejected", "none"]
    assert Bucket(objects, lake).packs()["id-a"].pictures == 2
    for scene, _ in wanted:
        edit(client, scene, kind="undo")
    settled(client)


def test_a_pack_is_written_where_there_was_none(client: httpx.Client, lake: Lake, objects: ObjectStore) -> None:
    bucket = lake.uri.split("/")[2]
    objects.delete(bucket, "out/packs/id-a/manifest.json")
    assert client.post(f"{EPISODE}/publish").status_code == 202
    settled(client)
    assert "id-a" in Bucket(objects, lake).packs()


def test_who_may_and_who_may_not(client: httpx.Client, tmp_path: Path) -> None:
    phone = {"Authorization": f"Bearer {client.made['phone']}"}  # type: ignore[attr-defined]
    for path in ("/v1/episodes", EPISODE, f"{EPISODE}/pictures/x"):
        refused = client.get(path, headers=phone)
        assert refused.status_code == 403 and "--edits" in refused.json()["error"]["remedy"]
        assert client.get(path, headers={"Authorization": ""}).status_code == 401
    assert client.post(f"{EPISODE}/scenes/x/edits", json={"kind": "pin"}, headers=phone).status_code == 403
    path = str(tmp_path / "keys.json")
    made = json.loads(CliRunner().invoke(app, ["serve", "key", "ann", "--edits", "--keys", path, "--json"]).stdout)
    found = Keys(Path(path)).find(made["key"])
    assert found is not None and found.edits
    assert "may edit" in CliRunner().invoke(app, ["serve", "keys", "--keys", path]).stdout


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"kind": "burn"}, 422, ""),
        ({"kind": "redo", "style": "oil"}, 422, "does not know it"),
        ({"kind": "redo", "things": ["unicorn"]}, 422, "under this name"),
        ({"kind": "redo", "steps": 90}, 422, "more work"),
        ({"kind": "swap", "image_id": "f" * 32}, 422, "no picture"),
        ({"kind": "undo", "edit_id": "f" * 32}, 422, "no edit"),
        ({"kind": "pin", "note": "x" * 5000}, 422, ""),
        ({"kind": "pin", "more": 1}, 422, ""),
        ({"kind": "pin", "note": "x" * 40_000}, 413, ""),
    ],
)
def test_what_cannot_be_done_says_why(client: httpx.Client, request_: dict, status: int, words: str) -> None:
    scene = client.get(EPISODE).json()["scenes"][3]["scene_id"]
    refused = edit(client, scene, **request_)
    assert refused.status_code == status and words in refused.json()["error"]["message"], refused.text
    assert edit(client, "f" * 32, kind="pin").status_code == 404
    assert client.get("/v1/episodes/nothing").status_code == 404
    assert client.get(f"{EPISODE}/pictures/nothing").status_code == 404
