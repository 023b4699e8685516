"""A client that a program makes of the OpenAPI document does with the service what the document says."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from inprocess import InProcess, uvicorn_server
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType
from PIL import Image

from cluster.serve import keys
from cluster.serve.settings import ServeSettings

NAME = "generated_client"
#: The generator knows no MIME type of pictures and sounds; so its users say that they are bytes.
BYTES = {kind: "application/octet-stream" for kind in ("image/webp", "image/png", "image/jpeg", "audio/webm")}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    return path, keys.add(path, "one", 60, 3600)


@pytest.fixture(scope="module")
def with_keys(serve_settings: ServeSettings, key: tuple[Path, str]) -> Iterator[str]:
    settings = serve_settings.model_copy(update={"access": "keys", "keys_file": str(key[0])})
    with uvicorn_server(InProcess(settings).app) as url:
        yield url


@pytest.fixture(scope="module", params=["plain", "bytes"])
def made(request: pytest.FixtureRequest, with_keys: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The generator's package: as it comes, and with what docs/online.md says of pictures."""
    folder = tmp_path_factory.mktemp(f"client-{request.param}")
    document = folder / "openapi.json"
    document.write_text(httpx.get(f"{with_keys}/openapi.json", timeout=60).text)
    settings = ConfigFile(post_hooks=[], content_type_overrides=BYTES if request.param == "bytes" else {})
    errors = generate(
        config=Config.from_sources(settings, MetaType.NONE, document, "utf-8", True, folder / NAME),
    )
    # Of the many types that an upload may have it knows `application/octet-stream`, and the form.
    told = [f"{each.header}: {each.detail}" for each in errors if "content type audio/" not in str(each.detail)]
    assert request.param == "plain" or not told, told
    assert not any(each.level.name == "ERROR" for each in errors), told
    with pytest.MonkeyPatch.context() as path:
        path.syspath_prepend(str(folder))
        yield request.param
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def of(name: str) -> ModuleType:
    return importlib.import_module(f"{NAME}.{name}")


def asked(name: str, client: Any, **values: Any) -> Any:
    return of(f"api.{name}").sync_detailed(client=client, **values)


def test_it_does_what_the_document_says(made: str, with_keys: str, key: tuple[Path, str], clip: bytes) -> None:
    client = of("client").AuthenticatedClient(base_url=with_keys, token=key[1], timeout=60)

    def file() -> Any:
        return of("types").File(payload=io.BytesIO(clip), file_name="clip.wav", mime_type="audio/wav")

    drawn = asked("pictures.draw_clip", client, body=file())
    assert drawn.status_code == 200 and Image.open(io.BytesIO(drawn.content)).size == (64, 64)
    if made == "bytes":
        assert Image.open(io.BytesIO(drawn.parsed.payload.read())).size == (64, 64)
        example = asked("pictures.example_clip", client)
        assert example.parsed.payload.read() == example.content

    answer = asked("pictures.draw_clip_as_json", client, body=file(), seed=7, n=2).parsed
    assert len(answer.images) == 2 and answer.images[0].seed == "7"

    begun = asked("recordings.begin_recording", client, body=file()).parsed
    events = asked("recordings.recording_events", client, id=begun.id)
    assert "event: done" in events.parsed
    view = asked("recordings.view_recording", client, id=begun.id).parsed
    assert view.status == "done" and view.drawn == view.to_draw
    picture = asked("recordings.scene_image", client, id=begun.id, index=view.scenes[0].index)
    assert Image.open(io.BytesIO(picture.content)).size == (64, 64)
    assert asked("recordings.delete_recording", client, id=begun.id).status_code == 204
    gone = asked("recordings.view_recording", client, id=begun.id)
    assert gone.status_code == 404 and gone.parsed.error.code == "not_found"

    assert asked("pictures.styles", client).parsed.default
    assert asked("operation.readyz", client).parsed.status == "ok"
    assert "s2i_" in asked("operation.figures", client).parsed
    stranger = of("client").AuthenticatedClient(base_url=with_keys, token="wrong", timeout=60)
    refused = asked("pictures.draw_clip_as_json", stranger, body=file())
    assert refused.status_code == 401 and refused.parsed.error.code == "unauthorized"


def test_keys_are_declared_and_optional_where_none_is_needed(url: str, with_keys: str) -> None:
    def secured(address: str) -> dict[str, Any]:
        document = json.loads(httpx.get(f"{address}/openapi.json", timeout=60).text)
        (scheme,) = document["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        return {path: next(iter(each.values())).get("security") for path, each in document["paths"].items()}

    there, here = secured(with_keys), secured(url)
    assert there["/v1/images"] == there["/metrics"] == [{"key": []}] and here["/v1/images"] == [{"key": []}, {}]
    assert there["/v1/styles"] is None and there["/healthz"] is None
