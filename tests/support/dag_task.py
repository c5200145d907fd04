"""``python -m tests.support.dag_task FILE`` runs a task of the DAG that notes its process in FILE and sleeps."""

import signal
import sys

from dags.operators import ProcessOperator

if __name__ == "__main__":
    command = ["sh", "-c", f"echo $$ > {sys.argv[1]}; sleep 60 & wait"]
    task = ProcessOperator(task_id="t", command=command, cwd="/", variables={})
    signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    task.execute({})
