"""Prints docs/contracts.md: events, topics, tables and paths as the code has them (``python -m contracts``)."""

from collections.abc import Iterable

import click

from contracts import paths
from contracts.command import run
from contracts.events import STREAMS
from contracts.hbase import HBASE_TABLES
from contracts.hive import MARTS, RAW, Column
from contracts.products import CATALOG, Product
from contracts.topics import TOPICS


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _columns(columns: tuple[Column, ...]) -> str:
    return _table(("column", "type", "meaning"), ((f"`{c.name}`", c.type, c.description) for c in columns))


def page() -> str:
    """The page as Markdown."""
    parts = [
        "# Contracts\n",
        "Made by `python -m contracts` from `contracts/`; a test keeps the two the same.\n",
        "## Topics\n",
        _table(
            ("topic", "partitions", "settings"),
            ((f"`{t.name}`", str(t.partitions), ", ".join(f"`{k}={v}`" for k, v in t.config.items())) for t in TOPICS),
        ),
        "## Events\n",
        "JSON, UTF-8. On HDFS in `" + paths.stream_folder("<stream>") + "/date=YYYY-MM-DD/hour=HH/*.parquet` by event "
        "time in UTC, in Hive as external tables of the database `ecommerce`.\n",
    ]
    for stream in STREAMS:
        table = RAW[stream.name]
        parts += [f"### {stream.name}\n", f"`{stream.topic}`. {table.description}\n", _columns(table.columns)]
    fields = ", ".join(f"`{field}`" for field in Product.__struct_fields__)
    parts += [
        "## Catalogue\n",
        f"`{CATALOG}` holds the newest record of each product, keyed by `product_id`, also of those withdrawn "
        f"(`available` is false then). JSON, UTF-8: {fields}.\n",
    ]
    parts.append("## Marts\n")
    for mart in MARTS.values():
        parts += [f"### {mart.name}\n", f"{mart.description} Partitioned by `date`.\n", _columns(mart.columns)]
    parts += [
        "## HBase tables\n",
        "A family with a column for each Kafka partition (`v:0`, `v:1`, …) holds JSON whose cell version (HBase "
        "timestamp) is the offset up to which it counts.\n",
        _table(
            ("table", "families", "row key", "what it holds"),
            ((f"`{t.name}`", ", ".join(f"`{f}`" for f in t.families), t.row_key, t.description) for t in HBASE_TABLES),
        ),
    ]
    return "\n".join(parts)


@click.command()
def main() -> None:
    """Print docs/contracts.md: events, topics, tables and paths as the code has them."""
    click.echo(page(), nl=False)


if __name__ == "__main__":
    run(main)
