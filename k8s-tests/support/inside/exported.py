"""The CSV files of a day on HDFS: each one's rows by its name."""

import csv
import io
import json
import sys

from clients import hdfs
from contracts import paths
from contracts.settings import Settings

(day,) = sys.argv[1:]
files = hdfs.client(Settings.from_environment())
folder = paths.export_folder(day)
found = {name: hdfs.read(files, f"{folder}/{name}").decode() for name in hdfs.names(files, folder)}
print(
    json.dumps({name: list(csv.DictReader(io.StringIO(text))) for name, text in found.items() if name.endswith(".csv")})
)
