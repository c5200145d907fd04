"""``python -m generator``: the simulated shop as a command."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Final

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from clients.kafka import KAFKA_SETTINGS
from contracts.command import with_settings
from contracts.errors import Mistake
from contracts.settings import Settings
from generator.config import GROWTH, ONE_DAY, Changes, Config, FlashSale, Imperfections, Share, check_days
from generator.describe import describe
from generator.ledger import Ledger
from generator.metrics import Metrics
from generator.play import Player, stop_on_signals
from generator.presets import DEMO, PRESETS, REALISTIC
from generator.shop import Shop
from generator.sinks import CLIENTS, JsonLinesSink
from generator.troubles import Outage, WrongClock

PREFIX: Final = "ECOMMERCE_GENERATOR"
DEFAULT_RATE: Final = 100.0
DEFAULT_EVENTS: Final = 300_000
DEFAULTS: Final = Imperfections()
CHANGES_A_DAY: Final = Changes(launches=3, withdrawals=3, prices=20)
OVER_DAYS: Final = Imperfections(later_day=0.002, stale_duplicate=0.0005)
BOT_SHARE: Final = 0.5
KAFKA: Final = "kafka"
LOG_SECONDS: Final = 5.0
CHANGES: Final = click.IntRange(0, 100)

log = structlog.get_logger()


class Days(click.ParamType):
    """A range of days ``A..B``, as its first day and their number."""

    name = "YYYY-MM-DD..YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[date, int]:
        first, _, last = value.partition("..")
        try:
            days = (date.fromisoformat(first), (date.fromisoformat(last) - date.fromisoformat(first)).days + 1)
        except ValueError:
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        if days[1] < 1:
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return days


def _over_days(flag: str, kind: click.ParamType, usual: float, text: str) -> Callable[[Any], Any]:
    """The option of something that is there over days, unless the user says otherwise."""
    return click.option(flag, type=kind, show_envvar=True, help=f"{text}  [default: {usual:g} with --days, else 0]")


@click.command(context_settings={"auto_envvar_prefix": PREFIX, "show_default": True, "max_content_width": 120})
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    show_envvar=True,
    help=f"Events a second, live, of all replicas together.  [default: {DEFAULT_RATE:g}]",
)
@click.option(
    "--events",
    type=click.IntRange(min=1),
    show_envvar=True,
    help="Play a day of about so many events, of all replicas together.  "
    f"[default with --day or --speedup: {DEFAULT_EVENTS}]",
)
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    show_envvar=True,
    help="The UTC day to play.  [default with --events or --speedup: yesterday]",
)
@click.option(
    "--days",
    type=Days(),
    show_envvar=True,
    help="Several UTC days to play, both included; --events is their average.",
)
@click.option(
    "--growth",
    type=click.FloatRange(-0.5, 0.5),
    default=GROWTH,
    show_envvar=True,
    help="With --days: of visits from each day to the next, and of the visitors who know the shop.",
)
@click.option(
    "--speedup",
    type=click.FloatRange(min=0, min_open=True),
    show_envvar=True,
    help="Play the day so many times faster than real time.  [default: as fast as possible]",
)
@click.option(
    "--rhythm",
    type=click.Choice(["daily", "flat"]),
    show_envvar=True,
    help="Arrivals with the rhythm of the day and the week, or steady but for flash sales.  "
    "[default: daily for a day played, flat live]",
)
@click.option(
    "--flash-sale",
    "flash_sale",
    multiple=True,
    show_envvar=True,
    metavar="HH:MM/MINUTES/FACTOR[/CATEGORY]",
    help="A peak of arrivals at this time (UTC) of every day; can be repeated.",
)
@click.option(
    "--delayed-share",
    "--late-share",  # its name before 0.1.0
    "delayed_share",
    type=float,
    default=DEFAULTS.delayed,
    envvar=[f"{PREFIX}_DELAYED_SHARE", f"{PREFIX}_LATE_SHARE"],
    show_envvar=True,
    help="Share of events sent 15 minutes to 3 hours after they happened.",
)
@_over_days("--later-day-share", click.FLOAT, OVER_DAYS.later_day, "Share of events sent 1 to 5 days after their own.")
@click.option(
    "--duplicate-share",
    type=float,
    default=DEFAULTS.duplicate,
    show_envvar=True,
    help="Share of events sent again within 3 minutes.",
)
@_over_days(
    "--stale-duplicate-share",
    click.FLOAT,
    OVER_DAYS.stale_duplicate,
    "Share of events sent again 15 minutes to 2 days later.",
)
@click.option(
    "--out-of-order-share",
    type=float,
    default=DEFAULTS.out_of_order,
    show_envvar=True,
    help="Share of events sent up to 5 seconds after they happened.",
)
@click.option(
    "--malformed-share",
    type=float,
    default=DEFAULTS.malformed,
    show_envvar=True,
    help="Malformed records, as a share of the events.",
)
@click.option(
    "--outage",
    "outage",
    multiple=True,
    show_envvar=True,
    metavar="YYYY-MM-DDTHH:MM/MINUTES[/SHARE]",
    help="From then on (UTC) a web server, with a share of the visitors, sends nothing; then all at once.",
)
@click.option(
    "--wrong-clock",
    "wrong_clock",
    multiple=True,
    show_envvar=True,
    metavar="YYYY-MM-DDTHH:MM/MINUTES/SECONDS[/SHARE]",
    help="From then on (UTC) a web server, with a share of the visitors, dates events so many seconds off.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default=DEMO.name,
    show_envvar=True,
    help="How visitors behave: much is bought (demo), or as shops report (realistic).",
)
@click.option(
    "--bot-share",
    type=click.FloatRange(0, 0.9),
    show_envvar=True,
    help=f"Share of the pages that bots see.  [default: {BOT_SHARE:g} with --preset realistic, else 0]",
)
@_over_days("--launches", CHANGES, CHANGES_A_DAY.launches, "Products that are new each day.")
@_over_days("--withdrawals", CHANGES, CHANGES_A_DAY.withdrawals, "Products that are withdrawn each day.")
@_over_days("--price-changes", CHANGES, CHANGES_A_DAY.prices, "Products that get another price each day.")
@click.option("--seed", type=int, default=1, show_envvar=True, help="Makes catalogue, visitors and what they do.")
@click.option("--replicas", type=int, default=1, show_envvar=True, help="How many processes share the shop.")
@click.option("--replica", type=int, default=0, show_envvar=True, help="Which of them this is, from 0.")
@click.option(
    "--instance",
    show_envvar=True,
    help="A unique name (a pod's) instead of --replicas and --replica: visitors and warehouses of its own; "
    "--rate and --events are its own too.",
)
@click.option(
    "--to",
    default="kafka",
    show_envvar=True,
    metavar="kafka|FILE|-",
    help="Where the records go: Kafka, or JSON lines in a file or on stdout.",
)
@click.option(
    "--client", type=click.Choice(list(CLIENTS)), default="confluent", show_envvar=True, help="The Kafka client."
)
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    show_envvar=True,
    help="Write what was sent, as JSON, to this file.",
)
@click.option(
    "--ledger-ids",
    type=click.Path(dir_okay=False, path_type=Path),
    show_envvar=True,
    help="Write stream and id of every distinct valid event, tab-separated, to this file.",
)
@click.option(
    "--catalogue",
    type=click.Path(dir_okay=False, path_type=Path),
    show_envvar=True,
    help="Write the catalogue and its changes, which Kafka gets as well, as JSON lines to this file.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    show_envvar=True,
    help="Serve Prometheus metrics on this port.  [default: none]",
)
@click.option("--metrics-host", default="127.0.0.1", show_envvar=True, help="Address for the metrics.")
@click.option(
    "--describe",
    "description",
    is_flag=False,
    flag_value="shop.html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Send nothing: print what would be sent, in figures, and write them with plots to a page (shop.html).",
)
@with_settings(*KAFKA_SETTINGS)
def main(
    settings: Settings,
    rate: float | None,
    events: int | None,
    day: datetime | None,
    days: tuple[date, int] | None,
    growth: float,
    speedup: float | None,
    rhythm: str | None,
    flash_sale: tuple[str, ...],
    delayed_share: float,
    later_day_share: float | None,
    duplicate_share: float,
    stale_duplicate_share: float | None,
    out_of_order_share: float,
    malformed_share: float,
    outage: tuple[str, ...],
    wrong_clock: tuple[str, ...],
    preset: str,
    bot_share: float | None,
    launches: int | None,
    withdrawals: int | None,
    price_changes: int | None,
    seed: int,
    replicas: int,
    replica: int,
    instance: str | None,
    to: str,
    client: str,
    ledger: Path | None,
    ledger_ids: Path | None,
    catalogue: Path | None,
    metrics_port: int | None,
    metrics_host: str,
    description: Path | None,
) -> None:
    """Plays a simulated shop: clicks, purchases and stock changes into Kafka, or into a file as JSON lines.

    Without a bound it plays now, at --rate, until it is stopped (SIGTERM or Ctrl-C: everything that happened is sent
    first). With --events, --day or --speedup it plays one whole UTC day, with --days several; the same seed, days and
    number of events give the same records in the same order. generator/README.md describes the model.
    """
    bounded = any(given is not None for given in (events, day, days, speedup, description))
    if bounded and rate is not None:
        raise Mistake("--rate plays now; leave it out with --events, --day, --days or --speedup, which play days")
    if day and days:
        raise Mistake("give either --day or --days")
    now = datetime.now(UTC)
    played, count = days or (day.date() if day else now.date() - ONE_DAY, 1)
    if bounded:
        check_days(played, played + (count - 1) * ONE_DAY, now, to == KAFKA and not description)
    usual = OVER_DAYS if days else DEFAULTS
    changes = CHANGES_A_DAY if days else Changes()
    config = Config(
        seed=seed,
        share=Share(replicas, replica, instance),
        imperfections=Imperfections(
            delayed_share,
            duplicate_share,
            out_of_order_share,
            malformed_share,
            usual.later_day if later_day_share is None else later_day_share,
            usual.stale_duplicate if stale_duplicate_share is None else stale_duplicate_share,
        ),
        flash_sales=tuple(FlashSale.parse(text) for text in flash_sale),
        day=played if bounded else None,
        events=(events or DEFAULT_EVENTS) if bounded else 0,
        rate=0.0 if bounded else rate or DEFAULT_RATE,
        daily_rhythm=rhythm == "daily" if rhythm else bounded,
        days=count,
        growth=growth,
        outages=tuple(map(Outage.parse, outage)),
        wrong_clocks=tuple(map(WrongClock.parse, wrong_clock)),
        preset=PRESETS[preset],
        changes=Changes(
            changes.launches if launches is None else launches,
            changes.withdrawals if withdrawals is None else withdrawals,
            changes.prices if price_changes is None else price_changes,
        ),
        bots=(BOT_SHARE if preset == REALISTIC.name else 0.0) if bot_share is None else bot_share,
    )
    if description:
        describe(config, description, Console())
        return
    metrics = Metrics()
    if metrics_port is not None:
        metrics.serve(metrics_host, metrics_port)
    account = Ledger(config)
    with (
        stop_on_signals() as stop,
        _writable(ledger_ids) if ledger_ids else nullcontext() as ids_file,
        _writable(catalogue) if catalogue else nullcontext() as catalogue_file,
    ):
        if ledger:
            account.write(ledger)
        sink = CLIENTS[client](settings) if to == KAFKA else JsonLinesSink(to)
        run = time.time_ns()
        shop = Shop(config, config.start_ms) if bounded else Shop(config, run // 1_000_000, run)
        clock = _clock(shop.start, speedup) if bounded else lambda: time.time_ns() // 1_000_000
        log.info("opened", replica=config.share.name, day=config.span or "now", seed=seed, to=to)
        with _progress(config.own(config.events * config.days) if bounded else None) as progress:
            Player(shop, sink, account, metrics, stop, progress, clock, ledger, ids_file, catalogue_file).run()
    log.info("closed", events=account.events, records=account.records, ledger=account.summary())


def _writable(path: Path) -> IO[str]:
    try:
        return path.open("w")
    except OSError as error:
        raise Mistake(f"cannot write {path}: {error.strerror}") from error


def _clock(start: int, speedup: float | None) -> Callable[[], int] | None:
    """The time in a day that began at ``start`` ms when the clock was made; None without a pace."""
    if speedup is None:
        return None
    began = time.monotonic()
    return lambda: start + int((time.monotonic() - began) * 1000 * speedup)


@contextmanager
def _progress(total: float | None) -> Iterator[Callable[[int], Any]]:
    """What shows the number of events so far: a bar on a terminal, else a log line now and then."""
    if total is not None and sys.stderr.isatty():
        columns = (
            TextColumn("[bold]the shop's day"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("events"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=round(total))
            yield lambda events: bar.update(task, completed=events)
            bar.update(task, total=bar.tasks[0].completed)
        return

    last = time.monotonic()

    def show(events: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_SECONDS:
            last = time.monotonic()
            log.info("progress", events=events, expected=None if total is None else round(total))

    yield show
