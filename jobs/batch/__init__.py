"""The daily tasks. One module a task, each run as ``python -m jobs.batch.<task> --date YYYY-MM-DD``.

A task reads what landed on HDFS through the SQL endpoint and overwrites its own day of its own marts, so that running
it again gives the same rows. ``marts.py`` says how, ``engine.py`` what Impala and Spark's Thrift server spell apart.
"""
