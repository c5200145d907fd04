"""The HTTP API as a FastAPI app."""

import importlib.resources
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
from anyio import to_thread
from fastapi import Depends, FastAPI, Header, Query, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPBasic
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic import AwareDatetime
from sse_starlette import EventSourceResponse
from starlette.middleware.gzip import GZipMiddleware

from contracts.catalog import CATEGORIES, WAREHOUSES
from contracts.errors import Mistake
from serving.api import answers, figures, problems
from serving.api.figures import Tagged
from serving.api.live import TICK_SECONDS, Live
from serving.api.login import Login
from serving.api.metered import Metered
from serving.days import from_to
from serving.layers import Layers
from serving.views import Step

STATIC: Final = Path(__file__).parent / "static"
THREADS: Final = 64
"""Requests that are worked on at once."""
LONGEST: Final = {Step.MINUTE: timedelta(days=2), Step.HOUR: timedelta(days=62), Step.DAY: timedelta(days=366)}
"""The longest range of revenue by each step."""
LONGEST_TRAFFIC: Final = timedelta(days=2)
"""The longest range of traffic: it is added up from its minutes."""
LONGEST_DAYS: Final = 366
LONGEST_SALES_DAYS: Final = 62
"""The longest range of purchases by category and country: of days that are not closed they are added up as well."""
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
PAGE_HEADERS: Final = {
    # What the chart library writes into the page is style alone.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Tags = Annotated[str | None, Header(alias="If-None-Match", description="An `ETag` of before: 304 while it holds.")]
First = Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY, description="First day (UTC).", examples=["2026-11-23"])]
_LAST = f"Last day; the first where it is not given. At most {LONGEST_DAYS} days."
Last = Annotated[date | None, Query(ge=FIRST_DAY, le=LAST_DAY, description=_LAST)]
From = Annotated[
    AwareDatetime,
    Query(alias="from", description="First moment, the start of a step.", examples=["2026-11-23T00:00:00Z"]),
]
To = Annotated[
    AwareDatetime,
    Query(alias="to", description="Moment before which to end, also one.", examples=["2026-11-24T00:00:00Z"]),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Rows of a page.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Rows before the page.")]
Name = Annotated[str, InPath(min_length=1, max_length=200)]


def create_app(layers: Layers, live: Live, password: str | None) -> FastAPI:
    """The app on these layers; ``password`` of user ``shop``, None for an API that is open to whoever reaches it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        async with live.running():
            yield

    app = FastAPIOffline(
        title="ecommerce-lambda",
        summary="The merged views of batch and speed layer: revenue, funnel, affinity, stock, profiles, alerts.",
        description="Money is EUR as a decimal string, times are UTC. Figures of closed days are final until more of "
        "the day lands; their `ETag` changes then.",
        version="1",
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/static",
        lifespan=lifespan,
        # Login asks for it; this tells readers of the description.
        dependencies=[Depends(HTTPBasic(auto_error=False))] if password else [],
    )
    problems.handle(app)
    _add_views(app, layers)
    _add_page(app, live)
    app.add_middleware(GZipMiddleware, minimum_size=2000)
    if password:
        app.add_middleware(Login, password=password)
    app.add_middleware(Metered)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _add_views(app: FastAPI, layers: Layers) -> None:
    common: dict[str, Any] = {"responses": problems.responses(422, 500, 503)}
    one: dict[str, Any] = {"responses": problems.responses(404, 422, 500, 503)}
    not_modified: dict[int | str, dict[str, Any]] = {304: {"description": "As it was at `If-None-Match`."}}
    tagged: dict[str, Any] = {"responses": not_modified | problems.responses(422, 500, 503)}
    tagged_one: dict[str, Any] = {"responses": not_modified | problems.responses(404, 422, 500, 503)}

    @app.get("/v1/revenue", tags=["revenue"], response_model=answers.RevenueRange, **tagged)
    def revenue(
        start: From,
        end: To,
        by: Annotated[Step, Query(description="At most 2 days by minute, 62 by hour, 366 by day.")] = Step.HOUR,
        known: Tags = None,
    ) -> Response:
        """Revenue of a range: batch for closed days, speed for the others."""
        first, last = _range(start, end, by, LONGEST[by])
        return _answer(figures.revenue(layers, first, last, by, _now()), known)

    @app.get("/v1/traffic", tags=["traffic"], **common)
    def traffic(
        start: From, end: To, by: Annotated[Step, Query(description="At most 2 days by any.")] = Step.HOUR
    ) -> answers.TrafficRange:
        """Visitors, page views and purchases by category and by country of a range, up to the last seconds."""
        return figures.traffic(layers, *_range(start, end, by, LONGEST_TRAFFIC), by)

    @app.get("/v1/sales", tags=["revenue"], response_model=answers.Sales, **tagged)
    def sales(first: First, last: Last = None, known: Tags = None) -> Response:
        """Purchases of days by category and the buyer's country: batch for closed days, speed for the others."""
        chosen = _days(first, last, LONGEST_SALES_DAYS)
        return _answer(figures.sales(layers, chosen, _now()), known)

    @app.get("/v1/today", tags=["revenue"], **common)
    def today() -> answers.Today:
        """The running totals of the UTC day, by hour, up to the last seconds."""
        return figures.today(layers, _now())

    @app.get("/v1/funnel", tags=["marts"], response_model=answers.Funnel, **tagged_one)
    def funnel(first: First, last: Last = None, known: Tags = None) -> Response:
        """The conversion funnel, Home → Product → Purchase, of the closed days of a range."""
        return _answer(figures.funnel(layers, _days(first, last)), known)

    @app.get("/v1/affinity/categories", tags=["marts"], response_model=answers.CategoryAffinities, **tagged_one)
    def categories(first: First, last: Last = None, known: Tags = None) -> Response:
        """Categories viewed against bought, of the closed days of a range."""
        return _answer(figures.categories(layers, _days(first, last)), known)

    @app.get("/v1/affinity/products", tags=["marts"], response_model=answers.ProductAffinities, **tagged_one)
    def products(
        first: First,
        last: Last = None,
        category: Annotated[str | None, Query(json_schema_extra={"enum": [*CATEGORIES]}, max_length=200)] = None,
        offset: Offset = 0,
        limit: Limit = 100,
        known: Tags = None,
    ) -> Response:
        """Products viewed against bought, of the closed days of a range."""
        _one_of("category", category, CATEGORIES)
        return _answer(figures.products(layers, _days(first, last), category, offset, limit), known)

    @app.get("/v1/stock", tags=["stock"], **common)
    def stocks(
        warehouse: Annotated[str | None, Query(json_schema_extra={"enum": [*WAREHOUSES]}, max_length=200)] = None,
        critical: Annotated[bool, Query(description="Only what is at its critical threshold or below.")] = False,
        offset: Offset = 0,
        limit: Limit = 100,
    ) -> answers.Stocks:
        """Stock as of the last seconds, by product and warehouse."""
        _one_of("warehouse", warehouse, WAREHOUSES)
        return figures.stocks(layers, warehouse, critical, offset, limit)

    @app.get("/v1/stock/{product_id}", tags=["stock"], **one)
    def stock(product_id: Name) -> answers.ProductStock:
        """A product's stock in each warehouse."""
        return figures.stock(layers, product_id)

    @app.get("/v1/users/{user_id:path}", tags=["users"], **one)
    def profile(user_id: Name) -> answers.UserProfile:
        """A user's newest click and all purchases."""
        return figures.profile(layers, user_id)

    @app.get("/v1/alerts", tags=["stock"], **common)
    def alerts(
        limit: Limit = 20,
        after: Annotated[str, Query(max_length=300, description="`next_after` of the page before.")] = "",
    ) -> answers.Alerts:
        """Critical-stock alerts, newest first."""
        return figures.alerts(layers, limit, after)

    @app.get("/v1/days", tags=["state"], **common)
    def day_states(first: First, last: Last = None) -> answers.Days:
        """What the batch layer has made of each day."""
        return figures.day_states(layers, _days(first, last), _now())

    @app.get("/v1/freshness", tags=["state"], **common)
    def freshness() -> answers.Freshness:
        """The newest events that each layer has, and the days that are not closed."""
        return figures.freshness(layers, _now())


def _add_page(app: FastAPI, live: Live) -> None:
    @app.get(
        "/live",
        tags=["live"],
        response_class=EventSourceResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events."}},
    )
    def listen() -> EventSourceResponse:
        """Server-sent events: a `snapshot` of the live page's state, then each second a `change` with what changed."""
        return EventSourceResponse(
            live.events(), ping=15, shutdown_event=anyio.Event(), shutdown_grace_period=2 * TICK_SECONDS
        )

    @app.get("/healthz", tags=["state"])
    def health() -> dict[str, str]:
        """That the process answers; says nothing of the servers behind it."""
        return {"status": "ok"}

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={**PAGE_HEADERS, "Cache-Control": "no-cache"})

    @app.get("/assets/plotly.min.js", include_in_schema=False)
    def plotly() -> FileResponse:
        library = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
        return FileResponse(str(library), headers={"Cache-Control": "private, max-age=86400"})

    app.mount("/assets", StaticFiles(directory=STATIC), name="assets")


def _now() -> datetime:
    return datetime.now(UTC)


def _range(start: datetime, end: datetime, by: Step, longest: timedelta) -> tuple[datetime, datetime]:
    """The range in UTC. Raises :class:`Mistake` for one that is none, too long, or not of whole steps."""
    for name, moment in (("from", start), ("to", end)):
        if not FIRST_DAY.year <= moment.year <= LAST_DAY.year:
            raise Mistake(f"{name} {moment.isoformat()} is not in the years {FIRST_DAY.year} to {LAST_DAY.year}")
        if by.floor(moment) != moment:
            raise Mistake(f"{name} {moment.isoformat()} is not the start of a whole {by} in UTC")
    if start >= end:
        raise Mistake(f"from {start.isoformat()} is not before to {end.isoformat()}")
    if end - start > longest:
        raise Mistake(f"{end - start} is longer than {longest.days} days, the most by {by}; ask for less at once")
    return start.astimezone(UTC), end.astimezone(UTC)


def _days(first: date, last: date | None, most: int = LONGEST_DAYS) -> list[date]:
    """The days of a range. Raises :class:`Mistake` for one that is none, or too long."""
    count = ((last or first) - first).days + 1
    if count < 1:
        raise Mistake(f"first {first} is after last {last}")
    if count > most:
        raise Mistake(f"{count} days are more than {most}, the most at once")
    return from_to(first, last or first)


def _one_of(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise Mistake(f"{name} is {value!r}; known are {', '.join(known)}")


def _answer(tagged: Tagged, known: str | None) -> Response:
    """The answer; of closed days with a tag that holds until one of them opens."""
    if tagged.marks is None:
        return JSONResponse(tagged.answer.model_dump(mode="json"), headers={"Cache-Control": "no-store"})
    made_of = "\n".join(
        f"{day} {mark.run} {mark.sequence} {mark.closed_at}" for day, mark in sorted(tagged.marks.items())
    )
    tag = f'"{sha256(made_of.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if known and tag in [one.strip().removeprefix("W/") for one in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return JSONResponse(tagged.answer.model_dump(mode="json"), headers=headers)


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, with the schema that its problems refer to."""
    if not app.openapi_schema:
        described = FastAPI.openapi(app)
        described["components"]["schemas"]["Problem"] = problems.Problem.model_json_schema()
    assert app.openapi_schema is not None
    return app.openapi_schema
