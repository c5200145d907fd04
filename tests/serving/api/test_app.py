"""The HTTP API on layers that a test has filled: figures, tags, logins, and errors as problems."""

import threading
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from contracts.errors import BrokenPromise, NotReady, PlatformError, Unreachable
from contracts.events import Alert
from contracts.hbase import Bought, Revenue, Sold, Stock, Traffic, Visit
from contracts.settings import Settings
from serving.api.app import create_app
from serving.api.gate import Gate
from serving.api.guarded import GuardedLayers
from serving.api.live import Live
from serving.days import Mark
from serving.now import Now
from serving.speed import Profile
from tests.support.known_layers import KnownLayers

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, 34, 56, 789_000, tzinfo=UTC)
PASSWORD = "correct horse battery"  # noqa: S105
PATHS = [
    "/v1/revenue?from=2026-11-23T00:00:00Z&to=2026-11-25T00:00:00Z",
    "/v1/traffic?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z",
    "/v1/sales?first=2026-11-23",
    "/v1/today",
    "/v1/funnel?first=2026-11-23",
    "/v1/affinity/categories?first=2026-11-23",
    "/v1/affinity/products?first=2026-11-23",
    "/v1/stock",
    "/v1/stock/P00001",
    "/v1/users/u1",
    "/v1/alerts",
    "/v1/days?first=2026-11-23",
    "/v1/freshness",
]


@pytest.fixture
def layers() -> KnownLayers:
    known = KnownLayers()
    known.closed_days = {MONDAY: Mark("night", 7, closed=True, closed_at=NOON)}
    known.rows_of = {
        ("revenue_hourly", MONDAY): [{"hour": "09", "revenue": Decimal("10.10"), "purchases": 2}],
        ("revenue_daily", MONDAY): [{"revenue": Decimal("10.10"), "purchases": 2}],
        ("sales_daily", MONDAY): [
            {"category": "toys", "country": "DE", "revenue": Decimal("9.00"), "units": 3, "purchases": 1},
            {"category": "toys", "country": "unknown", "revenue": Decimal("1.00"), "units": 1, "purchases": 1},
            {"category": "books", "country": "DE", "revenue": Decimal("0.10"), "units": 1, "purchases": 1},
        ],
        ("conversion_funnel", MONDAY): [
            {"step": 1, "name": "home", "sessions": 8},
            {"step": 2, "name": "product", "sessions": 4},
            {"step": 3, "name": "purchase", "sessions": 1},
        ],
        ("category_affinity", MONDAY): [
            {"category": "toys", "views": 30, "units": 1, "revenue": Decimal("1.00")},
            {"category": "books", "views": 10, "units": 3, "revenue": Decimal("3.00")},
        ],
        ("product_affinity", MONDAY): [
            {"product_id": f"P{number:05d}", "category": "toys", "views": 9 - number, "units": 1, "revenue": Decimal(1)}
            for number in range(5)
        ],
    }
    known.on_time = {NOON.replace(minute=30, second=0, microsecond=0): Revenue(Decimal("5.00"), 1)}
    known.late = {NOON.replace(hour=3, minute=0, second=0, microsecond=0): Revenue(Decimal("0.50"), 1)}
    known.levels = {("P00001", "north"): Stock(3, 5, NOON), ("P00002", "south"): Stock(50, 5, NOON)}
    visit = Visit("product", "toys", "mobile", "DE", NOON)
    known.profiles = {"u1": Profile("u1", visit, 2, Decimal("20.5"), NOON), "a/b?c": Profile("a/b?c", None, 0, Decimal(0), None)}  # fmt: skip  # noqa: E501
    known.raised = [(f"{number}/x", Alert(f"id{number}", "2026-11-24T12:00:00.000Z", "P00001", "north", 3, 5)) for number in range(3)]  # fmt: skip  # noqa: E501
    known.newest = NOON
    return known


@pytest.fixture
def api(layers: KnownLayers, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr("serving.api.app._now", lambda: NOON)
    # The poller is not run: its looks would stand among what was asked.
    return TestClient(create_app(layers, Live(Now(layers)), None), raise_server_exceptions=False)


def test_revenue_comes_from_the_layer_that_has_it(api: TestClient) -> None:
    answer = api.get(PATHS[0] + "&by=day").json()
    assert (answer["revenue"], answer["purchases"], answer["late"]) == ("15.60", 4, "0.50")
    assert answer["closed_days"] == ["2026-11-23"]
    assert [(period["start"], period["revenue"], period["source"]) for period in answer["periods"]] == [
        ("2026-11-23T00:00:00.000Z", "10.10", "batch"),
        ("2026-11-24T00:00:00.000Z", "5.50", "speed"),
    ]


def test_today(api: TestClient) -> None:
    answer = api.get("/v1/today").json()
    assert (answer["day"], answer["revenue"], answer["late"]) == ("2026-11-24", "5.50", "0.50")
    assert [hour["start"][11:13] for hour in answer["hours"]] == ["03", "12"]


@pytest.mark.parametrize(("by", "periods"), [("minute", 2), ("hour", 1), ("day", 1)])
def test_traffic_adds_up(api: TestClient, layers: KnownLayers, by: str, periods: int) -> None:
    for minute in (30, 31):
        at = NOON.replace(minute=minute, second=0, microsecond=0)
        layers.visited[at] = Traffic(3, {"home": 2, "product": 4}, {"toys": 4}, {"DE": 1, "FR": 2})
        layers.sold[at] = {"toys": Sold(Decimal("1.50"), 2, 1, {"FR": Bought(Decimal("1.50"), 2, 1)})}
    answer = api.get(f"/v1/traffic?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z&by={by}").json()
    assert len(answer["periods"]) == periods
    assert sum(period["visitors"] for period in answer["periods"]) == 6
    assert sum(period["countries"]["FR"] for period in answer["periods"]) == 4
    last = answer["periods"][-1]
    times = 2 // periods
    assert last["pages"] == {"home": 2 * times, "product": 4 * times}
    bought = {"revenue": f"{Decimal('1.50') * times}", "units": 2 * times, "purchases": times}
    assert last["sales"] == {"toys": bought}
    assert last["sales_by_country"] == {"FR": bought}


def test_sales_come_from_the_layer_that_has_them(api: TestClient, layers: KnownLayers) -> None:
    at = NOON.replace(second=0, microsecond=0)
    layers.sold[at] = {"toys": Sold(Decimal("1.50"), 2, 2, {"FR": Bought(Decimal("1.00"), 1, 1)})}
    layers.sold[at - timedelta(days=1)] = {"toys": Sold(Decimal("77.00"), 1, 1)}
    answer = api.get("/v1/sales?first=2026-11-23&last=2026-11-24")
    told = answer.json()
    assert (told["days"], told["closed_days"]) == (["2026-11-23", "2026-11-24"], ["2026-11-23"])
    assert [(one["category"], one["country"], one["revenue"]) for one in told["sales"]] == [
        ("books", "DE", "0.10"),
        ("toys", "DE", "9.00"),
        ("toys", "FR", "1.00"),
        ("toys", "unknown", "1.50"),
    ]
    assert {name: one["purchases"] for name, one in told["countries"].items()} == {"DE": 2, "FR": 1, "unknown": 2}
    assert {name: one["revenue"] for name, one in told["categories"].items()} == {"books": "0.10", "toys": "11.50"}
    assert "etag" not in answer.headers
    closed = api.get("/v1/sales?first=2026-11-23")
    assert closed.json()["countries"]["DE"] == {"revenue": "9.10", "units": 4, "purchases": 2}
    tagged = {"If-None-Match": closed.headers["etag"]}
    assert api.get("/v1/sales?first=2026-11-23", headers=tagged).status_code == 304
    assert api.get("/v1/sales?first=2026-09-01&last=2026-11-24").json()["detail"].startswith("85 days are more than 62")


def test_a_day_that_was_closed_before_there_was_its_mart_is_told_by_speed(api: TestClient, layers: KnownLayers) -> None:
    del layers.rows_of["sales_daily", MONDAY]
    layers.sold[NOON - timedelta(days=1)] = {"toys": Sold(Decimal("9.90"), 4, 2)}
    answer = api.get("/v1/sales?first=2026-11-23")
    assert answer.json()["countries"] == {"unknown": {"revenue": "9.90", "units": 4, "purchases": 2}}
    assert answer.json()["closed_days"] == []
    assert "etag" not in answer.headers


def test_the_funnel_of_a_range_counts_closed_days(api: TestClient, layers: KnownLayers) -> None:
    one = api.get("/v1/funnel?first=2026-11-23&last=2026-11-24").json()
    assert (one["days"], one["open_days"]) == (["2026-11-23"], ["2026-11-24"])
    assert [(step["sessions"], step["of_first"], step["of_previous"]) for step in one["steps"]] == [
        (8, "1.0000", "1.0000"),
        (4, "0.5000", "0.5000"),
        (1, "0.1250", "0.2500"),
    ]
    layers.closed_days[TUESDAY] = Mark("night", 8, closed=True)
    layers.rows_of["conversion_funnel", TUESDAY] = layers.rows_of["conversion_funnel", MONDAY]
    both = api.get("/v1/funnel?first=2026-11-23&last=2026-11-24").json()
    assert [step["sessions"] for step in both["steps"]] == [16, 8, 2]


def test_affinity(api: TestClient) -> None:
    found = api.get("/v1/affinity/categories?first=2026-11-23").json()["categories"]
    assert [(row["category"], row["affinity"]) for row in found] == [("toys", "0.3333"), ("books", "3.0000")]
    pages, offset = [], 0
    while offset is not None:
        page = api.get(f"/v1/affinity/products?first=2026-11-23&limit=2&offset={offset}").json()
        pages.append([row["product_id"] for row in page["products"]])
        offset = page["next_offset"]
    assert pages == [["P00000", "P00001"], ["P00002", "P00003"], ["P00004"]]
    assert page["total"] == 5


def test_stock_profile_and_alerts(api: TestClient) -> None:
    assert [row["product_id"] for row in api.get("/v1/stock?critical=true").json()["stock"]] == ["P00001"]
    assert api.get("/v1/stock?warehouse=south").json()["total"] == 1
    assert api.get("/v1/stock/P00001").json()["warehouses"][0]["critical"] is True
    profile = api.get("/v1/users/u1").json()
    assert (profile["spent"], profile["visit"]["time"]) == ("20.50", "2026-11-24T12:34:56.789Z")
    assert api.get("/v1/users/a%2Fb%3Fc").json()["user_id"] == "a/b?c"
    first = api.get("/v1/alerts?limit=2").json()
    rest = api.get(f"/v1/alerts?limit=2&after={first['next_after']}").json()
    assert [alert["event_id"] for alert in first["alerts"] + rest["alerts"]] == ["id0", "id1", "id2"]
    assert rest["next_after"] is None


def test_days_and_freshness(api: TestClient) -> None:
    days = api.get("/v1/days?first=2026-11-22&last=2026-11-24").json()["days"]
    assert [(day["day"], day["state"]) for day in days] == [
        ("2026-11-22", "open"),
        ("2026-11-23", "closed"),
        ("2026-11-24", "running"),
    ]
    fresh = api.get("/v1/freshness").json()
    assert fresh["last_closed_day"] == "2026-11-23"
    assert fresh["newest_counted"] == fresh["newest_landed"] == "2026-11-24T12:34:56.789Z"


@pytest.mark.parametrize("path", [path for path in PATHS if "first=" in path and "days" not in path])
def test_a_closed_day_has_a_tag_until_it_is_closed_anew(api: TestClient, layers: KnownLayers, path: str) -> None:
    first = api.get(path)
    tag = first.headers["etag"]
    again = api.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    layers.closed_days[MONDAY] = Mark("next night", 9, closed=True)
    after = api.get(path, headers={"If-None-Match": tag})
    assert after.status_code == 200
    assert after.headers["etag"] != tag


def test_an_open_day_has_no_tag(api: TestClient) -> None:
    answer = api.get(PATHS[0])
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


REVENUE = "/v1/revenue?from={}&to={}&by={}"


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v1/nothing", 404, "Not Found"),
        ("/v1/users/nobody", 404, "never seen"),
        ("/v1/stock/P99999", 404, "'P99999'"),
        ("/v1/funnel?first=2026-11-24", 404, "no day from 2026-11-24 to 2026-11-24 is closed"),
        ("/v1/funnel?first=yesterday", 422, "'yesterday'"),
        ("/v1/funnel", 422, "first"),
        ("/v1/funnel?first=2026-11-24&last=2026-11-23", 422, "after"),
        ("/v1/funnel?first=2020-01-01&last=2026-11-23", 422, "366"),
        ("/v1/funnel?first=0001-01-01", 422, "first"),
        ("/v1/stock?limit=0", 422, "limit"),
        ("/v1/stock?limit=1001", 422, "limit"),
        ("/v1/stock?offset=-1", 422, "offset"),
        ("/v1/stock?critical=perhaps", 422, "critical"),
        ("/v1/stock?warehouse=null&warehouse=null", 422, "known are north, south"),
        ("/v1/affinity/products?first=2026-11-23&category=cars", 422, "known are electronics"),
        (REVENUE.format("2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z", "hour"), 422, "not before"),
        (REVENUE.format("2026-11-24T00:00:00", "2026-11-25T00:00:00Z", "hour"), 422, "timezone"),
        (REVENUE.format("2026-11-24T00:00:01Z", "2026-11-25T00:00:00Z", "minute"), 422, "whole minute"),
        (REVENUE.format("2026-11-24T00:00:00%2B00:30", "2026-11-25T00:00:00Z", "hour"), 422, "whole hour"),
        (REVENUE.format("2026-11-20T00:00:00Z", "2026-11-25T00:00:00Z", "minute"), 422, "2 days"),
        (REVENUE.format("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:00-14:00", "day"), 422, "years 2000 to 2099"),
        (REVENUE.format("2026-11-20T00:00:00Z", "2026-11-25T00:00:00Z", "week"), 422, "by"),
        (f"/v1/users/{'u' * 201}", 422, "user_id"),
        (f"/v1/alerts?after={'a' * 301}", 422, "after"),
    ],
)
def test_a_mistake_is_a_problem_of_one_sentence(api: TestClient, path: str, status: int, told: str) -> None:
    answer = api.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert told in problem["detail"]
    assert "\n" not in problem["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_is_read_only(api: TestClient, method: str) -> None:
    answer = api.request(method, "/v1/today")
    assert (answer.status_code, answer.json()["title"]) == (405, "Read only")


@pytest.mark.parametrize(
    ("error", "status"),
    [(Unreachable("HBase is away"), 503), (NotReady("HBase starts"), 503), (BrokenPromise("the log is damaged"), 500)],
)
@pytest.mark.parametrize("path", PATHS)
def test_what_a_server_says_is_told(
    api: TestClient, layers: KnownLayers, path: str, error: PlatformError, status: int
) -> None:
    def fail(_: str) -> None:
        raise error

    layers.failing = fail
    answer = api.get(path)
    assert (answer.status_code, answer.json()["detail"]) == (status, str(error))
    assert ("retry-after" in answer.headers) == (status == 503)


def test_an_error_of_its_own_shows_no_inside(api: TestClient, layers: KnownLayers) -> None:
    layers.failing = lambda _: 1 / 0
    answer = api.get("/v1/today")
    assert answer.status_code == 500
    assert "division" not in answer.text


def test_only_the_password_opens(layers: KnownLayers) -> None:
    api = TestClient(create_app(layers, Live(Now(layers)), PASSWORD))
    for path in ("/", "/v1/today", "/live", "/docs", "/openapi.json", "/assets/live.js", "/nothing", "//v1/today"):
        for given in (None, ("shop", ""), ("shop", PASSWORD + "x"), ("admin", PASSWORD), ("", "")):
            answer = api.get(path, auth=given)
            assert answer.status_code == 401, (path, given)
            assert answer.headers["www-authenticate"].startswith("Basic ")
    for header in ("Basic", "Basic %%%", "Bearer " + PASSWORD, "Basic c2hvcA==", "Basic \u00e4"):
        assert api.get("/v1/today", headers={b"Authorization": header.encode("latin-1")}).status_code == 401
    assert api.get("/v1/today", auth=("shop", PASSWORD)).status_code == 200
    assert api.get("/healthz").status_code == 200


def test_each_answer_is_timed_by_its_path_and_no_series_is_made_by_who_asks(layers: KnownLayers) -> None:
    def counted(path: str, status: str) -> float:
        labels = {"path": path, "status": status}
        return REGISTRY.get_sample_value("ecommerce_api_request_seconds_count", labels) or 0.0

    asked = [("/v1/stock/{product_id}", "200"), ("/v1/stock/{product_id}", "404"), ("none", "404"), ("none", "401")]
    before = [counted(*one) for one in asked]
    api = TestClient(create_app(layers, Live(Now(layers)), PASSWORD))
    for path in ("/v1/stock/P00001", "/v1/stock/P00002", "/v1/stock/nothing", "/no/1", "/no/2"):
        api.get(path, auth=("shop", PASSWORD))
    api.get("/v1/stock/P00001")
    assert [counted(*one) - then for one, then in zip(asked, before, strict=True)] == [2, 1, 2, 1]


def test_the_description_is_served_without_the_internet(api: TestClient) -> None:
    page = api.get("/docs").text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert api.get(f"/docs/static/{asset}").status_code == 200
    described = api.get("/openapi.json").json()
    assert {*described["paths"]} >= {
        path.partition("?")[0] for path in PATHS if "P00001" not in path and "u1" not in path
    }
    assert "HTTPValidationError" not in str(described)


def test_where_no_day_is_asked_for_a_shut_gate_before_hdfs_is_none() -> None:
    """Today is no day of the batch layer: HBase alone has to answer."""
    layers = GuardedLayers(Settings())
    with pytest.raises(Unreachable), layers.hdfs():
        raise Unreachable("HDFS is away")
    assert layers.settled("revenue_hourly", []) == {}
    with pytest.raises(Unreachable, match="HDFS is away"):
        layers.settled("revenue_hourly", [MONDAY])


def test_a_gate_lets_so_many_through_and_closes_for_a_while() -> None:
    gate, inside, leave = Gate("HBase", 2), threading.Barrier(3), threading.Event()

    def ask() -> None:
        with gate():
            inside.wait(5)
            leave.wait(5)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(5)
    with pytest.raises(NotReady, match="HBase has too much to answer"), gate():
        pass
    leave.set()
    for thread in threads:
        thread.join()
    time.sleep(1.1)
    with pytest.raises(Unreachable, match="refused"), gate():
        raise Unreachable("refused")
    with pytest.raises(Unreachable, match="refused"), gate():
        pytest.fail("it was asked at once again")
    time.sleep(1.1)
    with gate():
        pass
