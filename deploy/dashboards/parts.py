"""What a dashboard is made of, and how Grafana writes it.

The boards beside this module say what they show with :class:`Board`, :func:`graph` and :func:`figure`; Grafana's own
library (grafana-foundation-sdk) makes the JSON, in the classic form: it warns of a newer one, which Grafana before 12
does not read. Expressions name the namespace and Grafana's interval by its variables.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common as shapes
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.dashboard import Panel as GrafanaPanel

from contracts.events import STREAMS

TAG: Final = "ecommerce-lambda"
"""Each board has it, and links to all others that have it."""
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whatever Prometheus the reader has chosen: its uid differs with each Grafana."""
SEEN: Final = "ecommerce_stream_lag_records|fs_namesystem_blocks_total|kafka_server_replicamanager_partitioncount"
"""A namespace with one of these has the platform, or parts of it."""
HERE: Final = 'namespace="$namespace"'
"""Belongs to every selector: a Prometheus may see many namespaces."""
TOPICS: Final = "|".join(stream.topic for stream in STREAMS)
"""The shop's topics, as a regular expression."""
TAKEN: Final = "kafka_server_brokertopicmetrics_messagesin_total"
"""Records that Kafka took, by topic."""
RECORDS: Final = "ecommerce_stream_records_total"
LAST_BATCH: Final = "ecommerce_stream_last_batch_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Panel:
    """``queries``: expressions by what a series of theirs is called in the legend.

    ``limits``: from which values on it is drawn in which colour; below all of them it is green. ``quiet``: that nothing
    is there to be shown is right, such as alerts in good health.
    """

    title: str
    description: str
    unit: str
    queries: Mapping[str, str]
    width: int
    limits: Mapping[float, str]
    is_figure: bool
    quiet: bool
    decimals: int | None


@dataclass(frozen=True, slots=True)
class Board:
    """``uid``: how addresses and other boards name it. ``rows``: panels by the heading above them."""

    uid: str
    title: str
    description: str
    rows: Mapping[str, tuple[Panel, ...]]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Of all rows."""
        return tuple(panel for row in self.rows.values() for panel in row)


def graph(
    title: str,
    description: str,
    unit: str,
    queries: Mapping[str, str],
    width: int = 8,
    quiet: bool = False,
) -> Panel:
    """Lines over the time; ``width`` in 24ths of the page."""
    return Panel(title, description, unit, queries, width, {}, is_figure=False, quiet=quiet, decimals=None)


def figure(
    title: str,
    description: str,
    unit: str,
    expression: str,
    limits: Mapping[float, str] | None = None,
    width: int = 3,
    decimals: int | None = None,
) -> Panel:
    """One large number, of now."""
    queries = {"": expression}
    return Panel(title, description, unit, queries, width, limits or {}, is_figure=True, quiet=False, decimals=decimals)


def per_second(metric: str, by: str = "", where: str = "") -> str:
    """How fast a counter grows, added up by these labels, of the series with the labels ``where``."""
    return f"sum{_by(by)}(rate({metric}{{{_where(where)}}}[$__rate_interval]))"


def grown(metric: str, over: str, by: str = "", where: str = "") -> str:
    """By how much a counter grew within this time (``10m``)."""
    return f"sum{_by(by)}(increase({metric}{{{_where(where)}}}[{over}]))"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""


def _where(labels: str) -> str:
    return f"{HERE},{labels}" if labels else HERE


def written(board: Board) -> str:
    """The board as Grafana reads it."""
    made = (
        grafana.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(grafana.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            grafana.QueryVariable("namespace")
            .label("Namespace")
            .datasource(SOURCE)
            .query(f'label_values({{__name__=~"{SEEN}"}}, namespace)')
            .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        )
        .link(
            grafana.DashboardLink("The platform's other boards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for heading, panels in board.rows.items():
        made = made.with_row(grafana.Row(heading))
        for panel in panels:
            made = made.with_panel(_figure(panel) if panel.is_figure else _graph(panel))
    built = made.build()
    for number, placed in enumerate(built.panels or [], 1):
        placed.id_val = number  # links to a panel name it, and Grafana would number them anew
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _graph(panel: Panel) -> Builder[GrafanaPanel]:
    legend = shapes.VizLegendOptions().show_legend(True).placement(LegendPlacement.BOTTOM)
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(8)
        .axis_soft_min(0)
        .line_width(1)
        .fill_opacity(8)
        .show_points(VisibilityMode.NEVER)
        .legend(legend.display_mode(LegendDisplayMode.LIST))
        .tooltip(shapes.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for query in _queries(panel):
        made = made.with_target(query)
    return made


def _figure(panel: Panel) -> Builder[GrafanaPanel]:
    steps = [Threshold(value=None, color="green")]
    steps += [Threshold(value=limit, color=color) for limit, color in sorted(panel.limits.items())]
    made = (
        stat.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(4)
        .color_mode(BigValueColorMode.VALUE if panel.limits else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(shapes.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(grafana.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    )
    if panel.decimals is not None:
        made = made.decimals(panel.decimals)
    for query in _queries(panel):
        made = made.with_target(query)
    return made


def _queries(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().ref_id(chr(ord("A") + number)).expr(expression).legend_format(legend).range()
        for number, (legend, expression) in enumerate(panel.queries.items())
    ]
