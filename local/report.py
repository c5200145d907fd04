"""The demo's report: for the terminal (rich), and the same as an HTML page with plots (jinja2, matplotlib)."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from rich.bar import Bar
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

Row = dict[str, str]
COLOUR, SECOND = "#2b6cb0", "#dd6b20"


@dataclass(frozen=True)
class Report:
    """What the demo shows: its summary (as in summary.json), the marts' rows as exported, the newest alerts."""

    summary: dict[str, Any]
    marts: dict[str, list[Row]]
    alerts: list[Row]

    @property
    def funnel(self) -> list[Row]:
        return sorted(self.marts["conversion_funnel"], key=lambda row: int(row["step"]))

    @property
    def hours(self) -> list[Row]:
        return sorted(self.marts["revenue_hourly"], key=lambda row: row["hour"])

    @property
    def categories(self) -> list[Row]:
        return sorted(self.marts["category_affinity"], key=lambda row: int(row["view_rank"]))

    @property
    def layers(self) -> list[tuple[str, str]]:
        """The figures of batch against speed, labelled."""
        revenue = self.summary["revenue"]
        return [
            ("what the generator sold", revenue["truth"]),
            ("batch layer (Parquet → SQL)", revenue["batch"]),
            ("speed layer (HBase), late included", revenue["speed"]),
            (f"… of it later than the watermark ({revenue['late_purchases']} purchases)", revenue["late"]),
        ]


def show(console: Console, report: Report) -> None:
    """Prints the report."""
    summary = report.summary
    console.rule(f"[bold]The shop on {summary['day']}")
    console.print(_funnel(report))
    console.print(_hours(report))
    console.print(_categories(report))
    console.print(_alerts(report))
    console.print(_layers(report))
    console.print(_counts(summary))
    console.print(_lake(summary), highlight=False)
    for problem in summary["problems"]:
        console.print(f"[bold red]✗[/] {problem}")
    if not summary["problems"]:
        console.print("[bold green]✓[/] nothing lost, nothing counted twice, batch and speed agree to the cent")


def _table(title: str, *headers: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for index, header in enumerate(headers):
        table.add_column(header, justify="left" if index == 0 else "right")
    return table


def _funnel(report: Report) -> Table:
    table = _table("\nConversion funnel", "step", "sessions", "of first", "of previous", "")
    for row in report.funnel:
        bar = Bar(1.0, 0, float(row["of_first"]), width=40, color="blue")
        table.add_row(row["name"], _whole(row["sessions"]), _share(row["of_first"]), _share(row["of_previous"]), bar)
    return table


def _hours(report: Report) -> Table:
    table = _table("\nRevenue by hour (UTC)", "hour", "orders", "revenue EUR", "")
    highest = max((float(row["revenue"]) for row in report.hours), default=1.0)
    for row in report.hours:
        bar = Bar(highest, 0, float(row["revenue"]), width=40, color="green")
        table.add_row(f"{row['hour']}:00", _whole(row["orders"]), _money(row["revenue"]), bar)
    return table


def _categories(report: Report) -> Table:
    table = _table("\nMost viewed against most bought", "category", "views", "rank", "units", "rank", "affinity")
    for row in report.categories:
        table.add_row(
            row["category"],
            _whole(row["views"]),
            row["view_rank"],
            _whole(row["units"]),
            row["bought_rank"],
            row["affinity"],
        )
    return table


def _alerts(report: Report) -> Table:
    alerts = report.summary["alerts"]
    title = f"\nStock alerts: {alerts['raised']} raised, {alerts['expected']} expected; the newest"
    table = _table(title, "time (UTC)", "product", "warehouse", "stock", "threshold")
    for row in report.alerts:
        table.add_row(*(row[name] for name in ALERT_COLUMNS))
    return table


ALERT_COLUMNS = ("event_time", "product_id", "warehouse", "stock_level", "critical_threshold")


def _layers(report: Report) -> Panel:
    table = _table("Revenue, EUR", "", "")
    table.show_header = False
    for label, amount in report.layers:
        table.add_row(label, _money(amount))
    return Panel(table, title="Batch against speed", expand=False)


COUNT_COLUMNS = ("produced", "landed", "rows", "late", "duplicates", "dead_letters")


def _counts(summary: dict[str, Any]) -> Table:
    table = _table("Counted", "stream", *(name.replace("_", " ") for name in COUNT_COLUMNS))
    for stream in summary["produced"]:
        table.add_row(stream, *(_whole(summary[name][stream]) for name in COUNT_COLUMNS))
    return table


def _lake(summary: dict[str, Any]) -> str:
    """How fresh SQL was, and what compaction made of the files."""
    files = summary["files"]
    return (
        f"SQL had every row {summary['sql_seconds']} s after the last was sent; "
        f"{files['before']:,} landed files were compacted into {files['after']:,}"
    )


def _whole(value: Any) -> str:
    return f"{int(value):,}"


def _money(value: str) -> str:
    return f"{Decimal(value):,.2f}"


def _share(value: str) -> str:
    return f"{float(value):.1%}"


def write_page(path: Path, report: Report) -> None:
    """Writes the HTML page, its plots inside it: one file that opens anywhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True
    )
    environment.filters.update(whole=_whole, money=_money, share=_share)
    path.write_text(
        environment.get_template("report.html").render(
            report=report,
            summary=report.summary,
            lake=_lake(report.summary),
            count_columns=COUNT_COLUMNS,
            alert_columns=ALERT_COLUMNS,
            funnel_plot=_plot_funnel(report.funnel),
            hours_plot=_plot_hours(report.hours),
            categories_plot=_plot_categories(report.categories),
        )
    )


def _plot_funnel(rows: Sequence[Row]) -> str:
    figure, axes = plt.subplots(figsize=(7, 2.2))
    bars = axes.barh([row["name"] for row in rows], [int(row["sessions"]) for row in rows], color=COLOUR)
    axes.bar_label(bars, [f" {_share(row['of_first'])}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("sessions")
    return _svg(figure)


def _plot_hours(rows: Sequence[Row]) -> str:
    figure, axes = plt.subplots(figsize=(7, 2.8))
    axes.bar([row["hour"] for row in rows], [float(row["revenue"]) for row in rows], color=COLOUR)
    axes.set_xlabel("hour (UTC)")
    axes.set_ylabel("revenue, EUR")
    return _svg(figure)


def _plot_categories(rows: Sequence[Row]) -> str:
    """Shares of views and of units bought side by side: where they differ, people look and do not buy, or just buy."""
    figure, axes = plt.subplots(figsize=(7, 3.2))
    for name, label, offset, colour in (("views", "viewed", -0.2, COLOUR), ("units", "bought", 0.2, SECOND)):
        total = sum(int(row[name]) for row in rows) or 1
        shares = [100 * int(row[name]) / total for row in rows]
        axes.bar([index + offset for index in range(len(rows))], shares, width=0.4, color=colour, label=label)
    axes.set_xticks(range(len(rows)), [row["category"] for row in rows], rotation=30, ha="right")
    axes.set_ylabel("share, %")
    axes.legend(frameon=False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    plt.close(figure)
    return out.getvalue().partition("<svg")[1] + out.getvalue().partition("<svg")[2]
