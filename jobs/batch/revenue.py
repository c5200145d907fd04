"""Revenue of a day, by hour and by minute, into ``revenue_daily``, ``revenue_hourly`` and ``revenue_minutely``."""

from datetime import date

import click

from contracts.command import run, with_settings
from contracts.settings import Settings
from jobs.batch.endpoint import SQL_SETTINGS, connect
from jobs.batch.marts import fill
from jobs.batch.options import day_option

MARTS = ("revenue_daily", "revenue_hourly", "revenue_minutely")


@click.command()
@day_option
@with_settings(*SQL_SETTINGS)
def main(day: date, settings: Settings) -> None:
    """Fills the revenue marts of a day, each purchase counted once."""
    with connect(settings) as sql:
        fill(sql, day, *MARTS)


if __name__ == "__main__":
    run(main)
