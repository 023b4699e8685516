"""Refusals: every error that a client sees, with its status, a stable code, and what to do."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from starlette.exceptions import HTTPException

from cluster.serve.schemas import ErrorBody, Problem
from s2i_core.errors import ConfigError, DecodeError, LimitExceeded, ModelError, ObjectGone, S2IError, StorageError

log = logging.getLogger("ray.serve")


class Refusal(Exception):
    """A request that gets an error for an answer.

    Args:
        status: of HTTP.
        code: stable name for programs.
        message: what is wrong; holds nothing of the inside.
        remedy: what the client can do.
        retry_after_s: sent as `Retry-After`.
    """

    def __init__(self, status: int, code: str, message: str, remedy: str, retry_after_s: float | None = None) -> None:
        super().__init__(status, code, message, remedy, retry_after_s)
        self.status = status
        self.problem = Problem(code=code, message=message, remedy=remedy)
        self.retry_after_s = retry_after_s

    def response(self) -> JSONResponse:
        """The answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="s2i"'
        return JSONResponse(ErrorBody(error=self.problem).model_dump(exclude_none=True), self.status, headers)


def busy(retry_after_s: float) -> Refusal:
    """All places are taken."""
    return Refusal(503, "busy", "The service is busy.", "Try again after the time in Retry-After.", retry_after_s)


def share(retry_after_s: float) -> Refusal:
    """The key has its share of the places, and others are to find some too."""
    message = "This key has as much under way at a time as it may have."
    return Refusal(429, "quota", message, "Wait until some of it has ended.", retry_after_s)


def withdrawn() -> Refusal:
    """The key was good when the request came."""
    message = "This key was withdrawn."
    return Refusal(401, "unauthorized", message, "Ask for another, and send it as Authorization: Bearer <key>.")


def late(retry_after_s: float) -> Refusal:
    """The answer was not ready by the deadline."""
    message = "The answer was not ready in time."
    return Refusal(503, "deadline", message, "Try again later, or allow more time with timeout_s.", retry_after_s)


def starting() -> Refusal:
    """The models are not loaded yet."""
    return Refusal(503, "starting", "The service is starting.", "Try again in a few seconds.", 2.0)


def missing(what: str = "There is nothing at this address.") -> Refusal:
    """No such thing, or none that this client may know of."""
    return Refusal(404, "not_found", what, "See /docs for what there is.")


def no_speech(sounding: bool) -> Refusal:
    """Nobody speaks in the clip."""
    what = "There is sound, but no speech was found in it." if sounding else "No speech was found: the clip is silent."
    return Refusal(422, "no_speech", what, "Speak a sentence, close to the microphone.")


def of_audio(error: S2IError) -> Refusal:
    """What is wrong with audio that could not be used, without the names that the inside has for it."""
    if isinstance(error, LimitExceeded):
        code = "too_large" if "bytes" in error.reason else "too_long"
        remedy = "Send a shorter clip; long recordings go to /v1/recordings, archives to the batch job."
        return Refusal(413, code, _sentence(error.reason), remedy)
    if isinstance(error, DecodeError):
        remedy = "Send WAV, MP3, M4A, FLAC, Ogg or WebM, and check the file with a player."
        return Refusal(422, "undecodable", _sentence(error.reason), remedy)
    if isinstance(error, ObjectGone):
        return missing("There is no such object, or it has changed.")
    if isinstance(error, StorageError):
        return Refusal(502 if not error.transient else 503, "storage", "The object store refused.", "Try later.", 10)
    raise error


def of_edit(error: S2IError) -> Refusal:
    """Why an edit can't be made."""
    message = _sentence(f"{error.subject}: {error.reason}")
    if isinstance(error, StorageError):
        return Refusal(502 if not error.transient else 503, "storage", "The object store refused.", "Try later.", 10)
    if isinstance(error, ConfigError):
        missing_one = error.reason.startswith("there is no such")
        return Refusal(404 if missing_one else 422, "not_found" if missing_one else "invalid", message, error.remedy)
    if isinstance(error, ModelError):
        return Refusal(409, "conflict", message, error.remedy)
    raise error


def install(app: FastAPI) -> None:
    """Give every error of the app the same body."""

    @app.exception_handler(Refusal)
    @app.exception_handler(RequestValidationError)
    async def refused(request: Request, error: Refusal | RequestValidationError) -> JSONResponse:
        del request
        return (error if isinstance(error, Refusal) else of_validation(error.errors())).response()

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        del request
        known = {404: missing(), 405: Refusal(405, "method_not_allowed", "This method is not allowed.", "See /docs.")}
        other = Refusal(error.status_code, "bad_request", "Bad request.", "See /docs.")
        answer = known.get(error.status_code, other).response()
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RayError)
    @app.exception_handler(RayServeException)
    async def away(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, RayTaskError):  # the replica is there: what it raised is a fault
            raise error
        log.warning("%s %s found a replica gone", request.method, request.url.path, exc_info=error)
        return starting().response()


def internal(id: str = "") -> Refusal:
    """A fault of ours; what it is stands in the log, under the id of the request or recording, and nowhere else."""
    what = f"the request_id {id}" if id else "the time of the request"
    refusal = Refusal(500, "internal", "Something went wrong in the service.", f"Report it with {what}.")
    refusal.problem.request_id = id or None
    return refusal


def of_validation(errors: list[Any] | tuple[Any, ...] | Any) -> Refusal:
    """The first thing that is wrong with options or a body; the values given are not repeated."""
    first: Mapping[str, Any] = next(iter(errors), {})
    if first.get("type") == "json_invalid":
        return Refusal(400, "bad_request", "The body is not JSON.", "Send one JSON object.")
    where = ".".join(str(part) for part in first.get("loc", ()) if part not in {"query", "body"})
    message = f"{where or 'The request'}: {first.get('msg', 'is not valid')}."
    return Refusal(422, "invalid", message, "See /docs for what is allowed.")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
