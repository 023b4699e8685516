"""SQL over HTTP: for keys that may, with the guards of `s2i query`, and bounded."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import rows_for_tests as rows
from inprocess import Handle

from cluster.serve import keys
from cluster.serve.clips.service import Service
from cluster.serve.http.application import build
from cluster.serve.settings import Limits, ServeSettings
from s2i_core.errors import ConfigError
from s2i_core.records import row
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

ENDLESS = "SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b WHERE a.range % 7 = b.range % 5"


@pytest.fixture(scope="module")
def tables(objects: ObjectStore) -> str:
    objects.create_bucket("asked")
    lake = Lake(objects.settings, "s3://asked/out")
    scenes = [rows.scene("talk.mp3", index) for index in range(3)]
    lake.scenes.merge([row(each) for each in scenes])
    lake.recordings.merge([row(rows.recording("talk.mp3"))])
    return lake.uri


@pytest.fixture(scope="module")
def asks(tables: str, serve_settings: ServeSettings, store: StoreInfo, tmp_path_factory: Any) -> Any:
    """A function that asks, with a key: `may`, `not`, or none."""
    file: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    known = {name: keys.add(file, name, 60, 3600.0, queries=name == "may") for name in ("may", "not")}
    settings = serve_settings.model_copy(
        update={
            "tables": tables,
            "access": "keys",
            "keys_file": str(file),
            "limits": Limits(query_s=1.0, query_rows=100),
        }
    )
    nothing: Any = Handle(object())
    app = build(Service(settings, nothing, nothing, nothing))

    def ask(sql: str, key: str | None = "may", **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
                headers = {"Authorization": f"Bearer {known[key]}"} if key else {}
                return await client.post("/v1/query", json={"sql": sql, **more}, headers=headers)

        return asyncio.run(asked())

    return ask


def test_an_answer(asks: Any) -> None:
    answer = asks("SELECT name, pictures, planned_at FROM episodes")
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"] == [["talk", 0, "2026-01-01T00:00:00+00:00"]]
    assert [each["name"] for each in answer.json()["columns"]] == ["name", "pictures", "planned_at"]
    assert answer.json()["more"] is False
    some = asks("SELECT scene_id FROM scenes ORDER BY scene_id", rows=2).json()
    assert (len(some["rows"]), some["more"]) == (2, True)
    many = asks("SELECT range FROM range(1000)", rows=1000).json()
    assert (len(many["rows"]), many["more"]) == (100, True)  # as many as the service gives


def test_only_keys_that_may(asks: Any) -> None:
    assert asks("SELECT 1", key=None).status_code == 401
    refused = asks("SELECT 1", key="not")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert "s2i serve key NAME --queries" in refused.json()["error"]["remedy"]


@pytest.mark.parametrize(
    ("sql", "code", "said"),
    [
        ("DROP TABLE scenes", "statement", "only SELECT is let through"),
        ("SELECT * FROM read_text('/etc/passwd')", "statement", "closed off"),
        ("SELECT nme FROM episodes", "statement", "There is no 'nme'"),
        ("SELECT 1; SELECT 2", "statement", "There are 2 of them"),
        (ENDLESS, "too_much", "A statement may take 1 s"),
    ],
)
def test_what_is_refused(asks: Any, sql: str, code: str, said: str) -> None:
    started = time.monotonic()
    answer = asks(sql)
    assert answer.status_code == 422 and answer.json()["error"]["code"] == code
    assert said.lower() in answer.json()["error"]["message"].lower()
    assert time.monotonic() - started < 20


def test_without_tables_there_is_no_such_address(serve_settings: ServeSettings) -> None:
    nothing: Any = Handle(object())
    app = build(Service(serve_settings, nothing, nothing, nothing))
    assert "/v1/query" not in app.openapi()["paths"]
    with pytest.raises(ConfigError, match="not the address of a bucket"):
        ServeSettings(tables="pictures")
