"""`/docs`: the OpenAPI document in Swagger UI, with its files from here, and commands that run as they stand."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from cluster.serve.http.uploads import FIELD, RAW_TYPES
from cluster.serve.problems import missing

DESCRIPTION = """
Say something, and get a picture of it. The commands here run as they stand, one after the other:

```sh
curl -sf http://127.0.0.1:8000/v1/example -o clip.webm
curl -sf http://127.0.0.1:8000/v1/images -H 'Content-Type: audio/webm' --data-binary @clip.webm -o picture.webp
curl -sf 'http://127.0.0.1:8000/v1/images.json?n=2&seed=7&steps=4' -F audio=@clip.webm
curl -sf http://127.0.0.1:8000/v1/recordings -H 'Content-Type: audio/webm' --data-binary @clip.webm -o recording.json
curl -sf http://127.0.0.1:8000/v1/styles
```

With a key, add `-H "Authorization: Bearer $KEY"`. Every error is `{"error": {"code", "message", "remedy"}}`.

`/v1/live` is a WebSocket: send `{"type": "start"}`, then 16-bit PCM at 16 kHz in binary messages, then
`{"type": "end"}`; `speech_start`, `speech_end`, `preview`, `image` and `done` come back.
"""

KEY = HTTPBearer(auto_error=False, scheme_name="key", description="A key, as `s2i serve key` makes it.")
"""What the document says of keys; whether one is needed and right, `guard.Doorkeeper` finds out."""

TAGS = [
    {"name": "pictures", "description": "A clip of up to a minute to a picture."},
    {"name": "recordings", "description": "A long recording to a picture for each scene."},
    {
        "name": "editing",
        "description": "What runs drew, as editors want it; only where the service was given a destination.",
    },
    {"name": "tables", "description": "SQL over what the batch jobs have made, where the service was given it."},
    {"name": "operation", "description": "For those who run the service."},
]

#: Swagger UI sets styles from its script; nothing else is needed beyond files of this origin.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>s2i: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", tryItOutEnabled: true, validatorUrl: null})\n'
_TYPES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    headers = {"Content-Security-Policy": POLICY}
    return Response(_PAGE, media_type="text/html", headers=headers)


@router.get("/docs/{name}")
async def file(name: str) -> Response:
    """A file of the page."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in _TYPES:
        raise missing()
    return Response(_swagger(name), media_type=_TYPES[name], headers={"Cache-Control": "public, max-age=3600"})


@cache
def _swagger(name: str) -> bytes:
    return (resources.files("fastapi_swagger") / "resources" / name).read_bytes()


def install(app: FastAPI, keys: bool) -> None:
    """Say in the app's document that a key may be left out, where the service asks for none."""
    document = app.openapi

    def openapi() -> dict[str, Any]:
        made = document()
        if not keys:
            for operation in (each for path in made["paths"].values() for each in path.values()):
                if operation.get("security") == [{KEY.scheme_name: []}]:
                    operation["security"].append({})
        return made

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def binary(*kinds: str) -> dict[str, Any]:
    """The content of an answer: a file of one of these MIME types."""
    return {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}}


def text(kind: str) -> dict[str, Any]:
    """The content of an answer: text of this MIME type."""
    return {"content": {kind: {"schema": {"type": "string"}}}}


def upload_body(options: type[BaseModel], as_json: type[BaseModel] | None = None) -> dict[str, Any]:
    """What the OpenAPI document says of the body of an upload: raw audio, or a form with options, or JSON."""
    binary = {"type": "string", "format": "binary"}
    fields = {
        name: {"description": field.description or ""} | _plain(options.model_json_schema()["properties"][name])
        for name, field in options.model_fields.items()
    }
    form = {"type": "object", "required": [FIELD], "properties": {FIELD: binary, **fields}}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    content |= {kind: {"schema": binary} for kind in RAW_TYPES}
    if as_json is not None:
        content["application/json"] = {"schema": as_json.model_json_schema()}
    return {"requestBody": {"required": True, "content": content}}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A field as a form has it: without the alternative of null."""
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    told = ("type", "minimum", "maximum", "items", "maxItems")
    return kinds[0] if kinds else {name: schema[name] for name in told if name in schema}
