"""Errors as RFC 9457 problems: ``application/problem+json`` with a title, the status and one sentence."""

from typing import Any, Final, Literal

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from contracts.errors import Mistake, NotFound, NotReady, PlatformError, Unreachable

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 2
"""What ``Retry-After`` says where a server does not answer."""
TITLES: Final = {
    400: "Not a request",
    401: "Login needed",
    404: "Not found",
    405: "Read only",
    422: "Wrong value",
    500: "Error of the platform",
    503: "Not available now",
}
log = structlog.get_logger()


class Problem(BaseModel):
    """What went wrong, in the form of RFC 9457."""

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(description="Of the status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="One sentence: what failed, with what value.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that an operation may answer with, for its OpenAPI description."""
    shown: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        example = Problem(title=TITLES[status], status=status, detail="…").model_dump()
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
        shown[status] = {"description": TITLES[status], "content": content}
    if 503 in shown:
        retry = {"description": "Seconds until it is worth asking again.", "schema": {"type": "integer"}}
        shown[503]["headers"] = {"Retry-After": retry}
    return shown


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    title = TITLES.get(status, "Error")
    content = Problem(title=title, status=status, detail=detail).model_dump()
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def handle(app: FastAPI) -> None:
    """Has every error of an app answered as a problem."""

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "request"
        return problem(422, f"{where} is {first.get('input')!r:.200}: {first['msg']}")

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(PlatformError)
    def platform(_: Request, error: PlatformError) -> JSONResponse:
        if isinstance(error, Unreachable | NotReady):
            return problem(503, str(error), {"Retry-After": str(RETRY_SECONDS)})
        if isinstance(error, NotFound):
            return problem(404, str(error))
        if isinstance(error, Mistake):
            return problem(422, str(error))
        log.error("not answered", error=str(error))
        return problem(500, str(error))

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("not answered", path=request.url.path, exc_info=error)
        return problem(500, "the API failed at this; its log says why")
