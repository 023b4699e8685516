"""What routes have in common: the service and the caller of a request, the errors it may get, options from forms."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Security
from pydantic import BaseModel, ValidationError

from cluster.serve import problems
from cluster.serve.callers import Caller
from cluster.serve.clips.service import Service
from cluster.serve.http import documentation
from cluster.serve.http.uploads import Form
from cluster.serve.schemas import ErrorBody

Model = TypeVar("Model", bound=BaseModel)

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody} for code in (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503)
}
"""What the OpenAPI document says that any route may answer."""
PICTURE: dict[str, Any] = {
    **documentation.binary("image/webp", "image/png", "image/jpeg"),
    "description": "The picture.",
}


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]


def _caller(request: Request, service: ServiceOf, _: Annotated[Any, Security(documentation.KEY)]) -> Caller:
    return service.doorkeeper.caller(request.headers, request.client)


CallerOf = Annotated[Caller, Depends(_caller)]


def with_fields(kind: type[Model], options: Model, form: Form) -> Model:
    """Options of the query with those of the form over them."""
    if not form.fields:
        return options
    try:
        return kind.model_validate(options.model_dump(exclude_unset=True) | form.fields)
    except ValidationError as error:
        raise problems.of_validation(error.errors()) from None
