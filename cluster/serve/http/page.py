"""The Studio, the page at `/`: its files, and the policy that they are served under.

All of it is read once and served from memory by exact name, so that no request reaches the file system. What it shares
with the page of a recording, palette and player, are the same files.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_WORKER = "worker.js"
_SHARED = ("base.css", "recording.css")

#: CSP level 3. Only the page's own scripts can make a blob: its pictures, and the recording that it plays.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """A file of the page, with its MIME type and its strong validator (RFC 9110, section 8.8.3)."""

    body: bytes
    packed: bytes
    """The same as gzip: on a slow network a third of it is soon there."""
    media_type: str
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of the page, by name."""
    own, shared = files("cluster.serve.http") / "studio", files("s2i_core.publish") / "player"
    sources = {path.name: path for path in own.iterdir()} | {name: shared / name for name in _SHARED}
    found = {}
    for name, path in sorted(sources.items()):
        if media_type := _TYPES.get(name.rpartition(".")[2]):
            body = path.read_bytes()
            packed = gzip.compress(body, mtime=0)
            found[name] = Asset(body, packed, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


@router.get("/")
async def index(request: Request) -> Response:
    """The page itself."""
    return _answer("index.html", request)


@router.get("/studio/{name}")
async def asset(name: str, request: Request) -> Response:
    """A style sheet, a script or an icon of the page; 404 for any other name."""
    return _answer(name, request)


def _answer(name: str, request: Request) -> Response:
    if (asset := assets().get(name)) is None:
        raise HTTPException(404)
    body, headers = asset.body, _HEADERS | {"ETag": asset.etag, "Vary": "Accept-Encoding"}
    if name == _WORKER:
        headers["Service-Worker-Allowed"] = _scope(request)
    if _takes_gzip(request):
        body = asset.packed
        headers |= {"Content-Encoding": "gzip", "ETag": f'{asset.etag[:-1]}-gzip"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=asset.media_type, headers=headers)


def _takes_gzip(request: Request) -> bool:
    """By RFC 9110, section 12.5.3; `gzip;q=0` refuses it."""
    for each in request.headers.get("accept-encoding", "").split(","):
        coding, _, weight = each.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


def _scope(request: Request) -> str:
    """The path of the page: what the worker may answer for, behind a proxy's prefix too."""
    return str(request.scope.get("root_path", "")).rstrip("/") + "/"
