"""The conversion funnel of a day, Home → Product → Purchase."""

from contracts.command import run
from jobs.batch.marts import mart_task

main = mart_task("Fill the conversion funnel of a day.", "conversion_funnel")

if __name__ == "__main__":
    run(main)
