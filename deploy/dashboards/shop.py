"""The shop: what its visitors do, and how good its records are."""

from typing import Final

from grafana_foundation_sdk.models import units

from contracts.events import CLICKS, PURCHASES, Stream
from contracts.paths import INGEST, SPEED
from deploy.dashboards.parts import HERE, RECORDS, TAKEN, TOPICS, Board, figure, graph, grown, per_second

CRITICAL: Final = f'query="{SPEED}",outcome="alerts"'
"""Products that fell to their critical stock."""
ANSWERS: Final = "ecommerce_api_request_seconds"


def taken(stream: Stream) -> str:
    """Records of a stream that Kafka took in the last hour."""
    return grown(TAKEN, "1h", where=f'topic="{stream.topic}"')


def taken_per_second(stream: Stream) -> str:
    """Records of a stream that Kafka takes."""
    return per_second(TAKEN, where=f'topic="{stream.topic}"')


BOARD: Final = Board(
    "ecommerce-shop",
    "E-commerce · The shop",
    "Traffic as Kafka and the jobs see it, for any producer; who asks the API; below, the simulated shop itself.",
    {
        "Traffic": (
            figure(
                "Clicks a minute",
                "That Kafka took.",
                units.Short,
                f"60 * {taken_per_second(CLICKS)}",
                width=4,
                decimals=0,
            ),
            figure(
                "Purchases a minute",
                "That Kafka took.",
                units.Short,
                f"60 * {taken_per_second(PURCHASES)}",
                width=4,
                decimals=1,
            ),
            figure(
                "Purchases by click",
                "Of the last hour.",
                units.PercentUnit,
                f"{taken(PURCHASES)} / {taken(CLICKS)}",
                width=4,
                decimals=1,
            ),
            figure(
                "Critical stock",
                "Products that fell to it in the last hour; the topic ecommerce-alerts names them.",
                units.Short,
                grown(RECORDS, "1h", where=CRITICAL),
                {1: "orange"},
                width=4,
                decimals=0,
            ),
            figure(
                "No events",
                "Records of the last hour that became dead letters.",
                units.Short,
                grown(RECORDS, "1h", where=f'query="{INGEST}",outcome="dead_letters"'),
                {1: "orange"},
                width=4,
                decimals=0,
            ),
            figure(
                "Late",
                "Records of the last hour that came later than the watermark.",
                units.Short,
                grown(RECORDS, "1h", where=f'query="{INGEST}",outcome="late"'),
                width=4,
                decimals=0,
            ),
            graph(
                "Records",
                "A second, by topic.",
                units.RecordsPerSecond,
                {"{{topic}}": per_second(TAKEN, "topic", f'topic=~"{TOPICS}"')},
                width=12,
            ),
            graph(
                "Critical stock",
                "Products that fell to it in ten minutes.",
                units.Short,
                {"products": grown(RECORDS, "10m", where=CRITICAL)},
                width=12,
            ),
        ),
        "The API and the live page": (
            graph(
                "Requests",
                "A second, by status.",
                units.RequestsPerSecond,
                {"{{status}}": per_second(f"{ANSWERS}_count", "status")},
                width=6,
            ),
            graph(
                "Answers",
                "What 95 of 100 took at most, by path.",
                units.Seconds,
                {"{{path}}": f"histogram_quantile(0.95, {per_second(f'{ANSWERS}_bucket', 'le, path')})"},
                width=6,
            ),
            graph(
                "Listeners",
                "Who has the live page open.",
                units.Short,
                {"{{pod}}": f"sum by (pod) (ecommerce_api_live_listeners{{{HERE}}})"},
                width=6,
            ),
            graph(
                "A look",
                "What the newest look at the layers took that all listeners are told of; one begins each second.",
                units.Seconds,
                {"{{pod}}": f"max by (pod) (ecommerce_api_live_poll_seconds{{{HERE}}})"},
                width=6,
            ),
        ),
        "The simulated shop": (
            graph(
                "Rate",
                "Records a second of each generator, as it counts them itself.",
                units.RecordsPerSecond,
                {"{{pod}}": f"sum by (pod) (ecommerce_generator_rate{{{HERE}}})"},
            ),
            graph(
                "Records by stream",
                "A second, its duplicates and broken records among them.",
                units.RecordsPerSecond,
                {"{{stream}}": per_second("ecommerce_generator_records_total", "stream")},
            ),
            graph(
                "Imperfections",
                "Records a second that it sends delayed, twice or broken on purpose, by kind.",
                units.RecordsPerSecond,
                {"{{kind}}": per_second("ecommerce_generator_records_total", "kind", 'kind!="valid"')},
            ),
            graph(
                "Not yet acknowledged",
                "Records that wait for Kafka's word. It grows while Kafka is away or slow.",
                units.Short,
                {"{{pod}}": f"sum by (pod) (ecommerce_generator_queue_length{{{HERE}}})"},
            ),
            graph(
                "Not taken",
                "Records that Kafka refused since the generator started.",
                units.Short,
                {"{{pod}}": f"sum by (pod) (ecommerce_generator_failed{{{HERE}}})"},
            ),
            graph(
                "Held back",
                "Share of the time for which the shop's clock stood: the machine could not keep up with the rate.",
                units.PercentUnit,
                {"{{pod}}": per_second("ecommerce_generator_held_back_seconds_total", "pod")},
            ),
        ),
    },
)
