"""What comes of it when a user of HDFS makes a folder and removes it."""

import json
import sys
from dataclasses import replace

from clients import hdfs
from contracts.errors import Refused
from contracts.settings import Settings

user, folder = sys.argv[1:]
files = hdfs.client(replace(Settings.from_environment(), hdfs_user=user))
try:
    hdfs.make_folder(files, folder)
    hdfs.remove(files, folder)
    outcome = "done"
except Refused:
    outcome = "refused"
print(json.dumps(outcome))
