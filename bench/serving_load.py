"""What a reader does whom locust plays: asks one endpoint again and again (``bench.serving``)."""

import os

from locust import FastHttpUser, task


class Reader(FastHttpUser):
    """Asks the path of ``ASKED_PATH`` without a pause."""

    @task
    def ask(self) -> None:
        self.client.get(os.environ["ASKED_PATH"], name="asked")
