"""Stock at the end of a day and its movements, into ``stock_daily``."""

from datetime import date

import click

from contracts.command import run, with_settings
from contracts.settings import Settings
from jobs.batch.endpoint import SQL_SETTINGS, connect
from jobs.batch.marts import fill
from jobs.batch.options import day_option

MARTS = ("stock_daily",)


@click.command()
@day_option
@with_settings(*SQL_SETTINGS)
def main(day: date, settings: Settings) -> None:
    """Fills the stock mart of a day."""
    with connect(settings) as sql:
        fill(sql, day, *MARTS)


if __name__ == "__main__":
    run(main)
