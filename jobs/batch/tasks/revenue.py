"""Revenue of a day, by hour, by minute, and by category and country."""

from contracts.command import run
from jobs.batch.marts import mart_task

main = mart_task(
    "Fill the revenue marts of a day, each purchase counted once.",
    "revenue_daily",
    "revenue_hourly",
    "revenue_minutely",
    "sales_daily",
)

if __name__ == "__main__":
    run(main)
