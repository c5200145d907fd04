"""The conversion funnel of a day, Home → Product → Purchase, into ``conversion_funnel``."""

from datetime import date

import click

from contracts.command import run, with_settings
from contracts.settings import Settings
from jobs.batch.endpoint import SQL_SETTINGS, connect
from jobs.batch.marts import fill
from jobs.batch.options import day_option

MARTS = ("conversion_funnel",)


@click.command()
@day_option
@with_settings(*SQL_SETTINGS)
def main(day: date, settings: Settings) -> None:
    """Fills the conversion funnel of a day."""
    with connect(settings) as sql:
        fill(sql, day, *MARTS)


if __name__ == "__main__":
    run(main)
