"""Airflow on the cluster as a user drives it: the REST API on the ingress."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import requests

from clients import retry
from contracts.dag import DAG_ID
from deploy.workloads import Release
from support.platform import Platform


class Airflow:
    """Airflow's REST API as the ingress serves it."""

    def __init__(self, platform: Platform, user: str | None = None) -> None:
        access, release = platform.cluster.access, platform.release
        self.host = "airflow.localhost"
        self.address = access.ingress
        self.user, self.password = login(release, user)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Host"] = self.host
        answer = self._session.post(
            f"{self.address}/auth/token", json={"username": self.user, "password": self.password}, timeout=30
        )
        assert answer.status_code == 201, answer.text
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str) -> Any:
        answer = self._session.get(f"{self.address}/api/v2/{path}", timeout=60)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> requests.Response:
        return self._session.post(f"{self.address}/api/v2/{path}", json=body, timeout=60)

    def run(self, day: str | None = None, dag: str = DAG_ID, seconds: float = 1200) -> None:
        """Runs a DAG to its end, which must be a good one."""
        run = self.trigger(day, dag)
        ended = retry.until(
            lambda: str(self.get(f"dags/{dag}/dagRuns/{run}")["state"]),
            ("success", "failed").__contains__,
            seconds=seconds,
            pause=2,
            what=f"the end of {run} of {dag}",
        )
        assert ended == "success", f"{run} of {dag}"

    def trigger(self, day: str | None, dag: str = DAG_ID) -> str:
        body = {"logical_date": datetime.now(UTC).isoformat(), "conf": {"date": day} if day else {}}
        answer = self.post(f"dags/{dag}/dagRuns", body)
        assert answer.ok, answer.text
        return str(answer.json()["dag_run_id"])

    def tasks(self, run: str) -> dict[str, Any]:
        """The run's task instances by task."""
        return {
            item["task_id"]: item for item in self.get(f"dags/{DAG_ID}/dagRuns/{run}/taskInstances")["task_instances"]
        }

    def log(self, run: str, task: str, attempt: int) -> str:
        return json.dumps(
            self.get(f"dags/{DAG_ID}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}?full_content=true")
        )

    def fail(self, run: str) -> None:
        """Marks a run as failed, so that its task is not tried again."""
        answer = self._session.patch(
            f"{self.address}/api/v2/dags/{DAG_ID}/dagRuns/{run}", json={"state": "failed"}, timeout=60
        )
        assert answer.ok, answer.text


def login(release: Release, user: str | None = None) -> tuple[str, str]:
    """User and password from the Secret that NOTES.txt names; the first user's unless another is named."""
    secret = release.core.read_namespaced_secret(f"{release.name}-airflow-login", release.namespace)
    data = {key: base64.b64decode(value).decode() for key, value in secret.data.items()}
    return (user, data[f"{user}-password"]) if user else (data["username"], data["password"])
