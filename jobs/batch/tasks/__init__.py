"""The tasks of the daily DAG, each run as ``python -m jobs.batch.tasks.<task> --date YYYY-MM-DD``."""
