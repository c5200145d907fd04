"""Categories and products viewed against bought."""

from contracts.command import run
from jobs.batch.marts import mart_task

main = mart_task("Fill the affinity marts of a day.", "category_affinity", "product_affinity")

if __name__ == "__main__":
    run(main)
