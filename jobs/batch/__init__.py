"""The daily tasks, and what they share. One module a task in ``tasks/``, its SQL beside it.

A task reads what landed on HDFS through the SQL endpoint and overwrites its own day of its own marts, so that running
it again gives the same rows. ``marts.py`` says how, ``clients.engine`` what Impala and Spark's Thrift server spell
apart.
"""

from pathlib import Path

# `python -m jobs.batch.revenue`, as scripts know the tasks since version 0.1.0, finds them in tasks/ too.
__path__ = [*__path__, str(Path(__file__).parent / "tasks")]
