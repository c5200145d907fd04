"""``python -m serving``: the serving views at the command line."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click
import msgspec
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.retry import hurry
from clients.sql import SQL_SETTINGS
from contracts.command import run, with_settings
from contracts.errors import NotFound
from contracts.events import critical, timestamp
from contracts.hbase import add_sales, add_traffic, by_country
from contracts.settings import Settings
from serving import speed, views
from serving.layers import Layers
from serving.now import Now, Section

MINUTE = timedelta(minutes=1)
LOOK_SECONDS = 5.0
"""For one answer to ``watch``."""
WATCHED_MINUTES, WATCHED_STOCK, WATCHED_COUNTRIES = 15, 8, 5
UNITS = {"m": MINUTE, "h": timedelta(hours=1), "d": timedelta(days=1)}
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")


class Length(click.ParamType):
    """A length of time such as 60m, 24h or 7d."""

    name = "LENGTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", value, re.ASCII)
        if not match:
            self.fail(f"{value!r} is not a length of time such as 60m, 24h or 7d", param, ctx)
        return int(match[1]) * UNITS[match[2]]


class Minute(click.ParamType):
    """A minute in UTC as ``YYYY-MM-DDTHH:MM``."""

    name = "YYYY-MM-DDTHH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{value!r} is not a minute written as YYYY-MM-DDTHH:MM", param, ctx)


def range_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a range of minutes, as :func:`minute_range` takes them."""
    for option in (
        click.option("--to", "end", type=Minute(), help="Minute before which to end; now when it is not given."),
        click.option("--from", "start", type=Minute(), help="First minute."),
        click.option(
            "--last", type=Length(), help="The last minutes (60m), hours (24h) or days (7d), this minute included."
        ),
    ):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """The merged views of batch and speed layer. Amounts are EUR, times UTC."""


@main.command()
@range_options
@json_option
@with_settings(*SQL_SETTINGS, *HDFS_SETTINGS, *HBASE_SETTINGS)
def revenue(
    last: timedelta | None, start: datetime | None, end: datetime | None, as_json: bool, settings: Settings
) -> None:
    """Revenue of a range of minutes: batch where the day is closed, speed where it is not.

    Minutes of open days include purchases that came later than the watermark, and say how much that is.
    """
    now = datetime.now(UTC)
    first, until = minute_range(last, start, end, now)
    minutes = views.revenue(Layers(settings), first, until, now)
    total = sum((minute.revenue for minute in minutes), Decimal("0.00"))
    late = sum((minute.late for minute in minutes), Decimal("0.00"))
    purchases = sum(minute.purchases for minute in minutes)
    if as_json:
        echo_json(
            {
                "from": timestamp(first),
                "to": timestamp(until),
                "revenue": total,
                "purchases": purchases,
                "late": late,
                "minutes": [{"minute": timestamp(minute.start), **_figures(minute)} for minute in minutes],
            }
        )
        return
    table = Table(title=f"Revenue {first:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC", show_footer=True)
    table.add_column("minute", "total")
    for name, footer in (("revenue", f"{total:,}"), ("purchases", f"{purchases:,}"), ("of it late", f"{late:,}")):
        table.add_column(name, footer, justify="right")
    table.add_column("layer")
    for minute in minutes:
        shown_late = f"{minute.late:,}" if minute.late else ""
        table.add_row(
            f"{minute.start:%Y-%m-%d %H:%M}",
            f"{minute.revenue:,}",
            f"{minute.purchases:,}",
            shown_late,
            minute.source,
        )
    Console().print(table)


@main.command()
@range_options
@json_option
@with_settings(*HBASE_SETTINGS)
def traffic(
    last: timedelta | None, start: datetime | None, end: datetime | None, as_json: bool, settings: Settings
) -> None:
    """Visitors, page views and purchases of a range of minutes, late ones too: from the speed layer."""
    first, until = minute_range(last, start, end, datetime.now(UTC))
    found = views.traffic(Layers(settings), first, until)
    seen, sold = add_traffic(one.traffic for one in found), add_sales(one.sales for one in found)
    if as_json:
        minutes = [
            {"minute": timestamp(one.start), **msgspec.structs.asdict(one.traffic), "sales": one.sales} for one in found
        ]
        total = {**msgspec.structs.asdict(seen), "sales": sold, "sales_by_country": by_country(sold)}
        echo_json({"from": timestamp(first), "to": timestamp(until), "total": total, "minutes": minutes})
        return
    table = Table(title=f"Traffic {first:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC", show_footer=True)
    table.add_column("minute", "total")
    pages = list(seen.pages)
    purchases = sum(one.purchases for one in sold.values())
    for name, footer in (
        ("visitors", seen.visitors),
        *((page, seen.pages[page]) for page in pages),
        ("purchases", purchases),
    ):
        table.add_column(name, f"{footer:,}", justify="right")
    for one in found:
        figures = (one.traffic.visitors, *(one.traffic.pages.get(page, 0) for page in pages))
        bought = sum(part.purchases for part in one.sales.values())
        table.add_row(f"{one.start:%Y-%m-%d %H:%M}", *(f"{figure:,}" for figure in (*figures, bought)))
    Console().print(table)


@main.command()
@click.argument("product")
@json_option
@with_settings(*HBASE_SETTINGS)
def stock(product: str, as_json: bool, settings: Settings) -> None:
    """A product's stock in each warehouse."""
    found = speed.stock(settings, product)
    if not found:
        raise NotFound(f"no stock of product {product!r} is known")
    if as_json:
        echo_json({"product_id": product, "warehouses": found})
        return
    table = Table("warehouse", "stock", "critical at", "critical", "since", title=f"Stock of {product}")
    for warehouse, state in found.items():
        shown = "yes" if critical(state.level, state.threshold) else ""
        table.add_row(warehouse, str(state.level), str(state.threshold), shown, timestamp(state.time))
    Console().print(table)


@main.command()
@click.argument("user")
@json_option
@with_settings(*HBASE_SETTINGS)
def profile(user: str, as_json: bool, settings: Settings) -> None:
    """What is known of a user: the newest click and all purchases."""
    found = speed.profile(settings, user)
    if found is None:
        raise NotFound(f"user {user!r} was never seen")
    if as_json:
        echo_json(found)
        return
    table = Table(title=f"User {user}", show_header=False)
    if found.visit:
        table.add_row("last seen", timestamp(found.visit.time))
        table.add_row("page", found.visit.page)
        table.add_row("category", found.visit.category or "")
        table.add_row("device", found.visit.device)
        table.add_row("country", found.visit.country)
    table.add_row("purchases", f"{found.purchases:,}")
    table.add_row("spent", f"{found.amount:,} EUR")
    if found.last_purchase:
        table.add_row("last purchase", timestamp(found.last_purchase))
    Console().print(table)


@main.command()
@click.option("--newest", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@json_option
@with_settings(*HBASE_SETTINGS)
def alerts(newest: int, as_json: bool, settings: Settings) -> None:
    """The newest critical-stock alerts."""
    found = speed.alerts(settings, newest)
    if as_json:
        echo_json(found)
        return
    table = Table("time", "product", "warehouse", "stock", "critical at", title="Critical stock, newest first")
    for alert in found:
        table.add_row(
            alert.event_time, alert.product_id, alert.warehouse, str(alert.stock_level), str(alert.critical_threshold)
        )
    Console().print(table)


@main.command()
@with_settings(*SQL_SETTINGS, *HDFS_SETTINGS, *HBASE_SETTINGS)
def watch(settings: Settings) -> None:
    """The shop, live in the terminal, until Ctrl-C: today's revenue, the last hour, critical stock, how fresh it is."""
    now = Now(Layers(settings))
    with Live(auto_refresh=False, screen=Console().is_terminal) as shown, suppress(KeyboardInterrupt):
        while True:
            with hurry(LOOK_SECONDS):
                now.look()
            shown.update(picture(now.state), refresh=True)
            time.sleep(1)


def picture(state: dict[str, Section]) -> Group:
    """The sections of :class:`Now` as a terminal shows them; those that no server has answered yet are left out."""
    clock, revenue, traffic, sales, stock, fresh = (
        state.get(name) for name in ("clock", "revenue", "traffic", "sales", "stock", "fresh")
    )
    parts: list[RenderableType] = []
    if clock:
        away = ", ".join(f"{section} since {since[11:19]}" for section, since in clock["away"].items())
        told = f"[red]not answered: {away}[/]" if away else "live"
        parts.append(f"[bold]The shop on {clock['day']}[/], {clock['now'][11:19]} UTC, {told}")
    if revenue:
        before = state.get("before")
        compared = f"   {before['until_now']:,} EUR by this time on {before['day']}" if before else ""
        parts.append(f"{revenue['revenue']:,} EUR from {revenue['purchases']:,} purchases{compared}")
        parts.append(_minutes_table(revenue["minutes"][-WATCHED_MINUTES:]))
    if traffic:
        pages = ", ".join(f"{page} {count:,}" for page, count in traffic["pages"].items())
        parts.append(f"{traffic['minutes'][-2][1]:,} visitors in the minute before this one; in the last hour: {pages}")
    if sales and sales["countries"]:
        most = sorted(sales["countries"].items(), key=lambda item: -item[1]["revenue"])[:WATCHED_COUNTRIES]
        bought = ", ".join(f"{country} {one['revenue']:,} EUR ({one['purchases']:,})" for country, one in most)
        parts.append(f"bought today by country: {bought}")
    if stock:
        table = Table("product", "warehouse", "stock", "critical at", title=f"Critical stock: {stock['critical']}")
        for one in stock["worst"][:WATCHED_STOCK]:
            table.add_row(one["product_id"], one["warehouse"], str(one["level"]), str(one["threshold"]))
        parts.append(table)
    if fresh:
        newest = f"newest event counted {fresh['newest_counted']}, landed {fresh['newest_landed']}"
        parts.append(f"[dim]{newest}; last reconciled day {fresh['last_closed_day']}[/]")
    return Group(*parts)


def _minutes_table(minutes: list[list[Any]]) -> Table:
    most = max((amount for _, amount, _ in minutes), default=Decimal(0)) or Decimal(1)
    table = Table("minute", "EUR", "purchases", "", box=None)
    for minute, amount, purchases in minutes:
        table.add_row(minute[11:16], f"{amount:,}", f"{purchases:,}", Bar(float(most), 0, float(amount), width=40))
    return table


def minute_range(
    last: timedelta | None, start: datetime | None, end: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """The range asked for, as whole minutes ``[start, end)``. Raises ``click.UsageError`` for one that is none."""
    this_minute = now.replace(second=0, microsecond=0)
    until = end or this_minute + MINUTE
    if (last is None) == (start is None):
        raise click.UsageError("give either --last or --from")
    if last is not None and end is not None:
        raise click.UsageError("--to goes with --from, not with --last")
    first = start or until - (last or MINUTE)
    if first >= until:
        raise click.UsageError(f"--from {first:%Y-%m-%dT%H:%M} is not before --to {until:%Y-%m-%dT%H:%M}")
    return first, until


def _figures(minute: views.PeriodRevenue) -> dict[str, Any]:
    return {name: value for name, value in asdict(minute).items() if name != "start"}


def echo_json(value: Any) -> None:
    """Decimals as strings, times as ISO-8601 UTC."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


if __name__ == "__main__":
    run(main)
