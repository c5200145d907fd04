"""Stock at the end of a day and its movements."""

from contracts.command import run
from jobs.batch.marts import mart_task

main = mart_task("Fill the stock mart of a day.", "stock_daily")

if __name__ == "__main__":
    run(main)
