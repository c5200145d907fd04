"""Who may reach whom: the NetworkPolicies read as a matrix, and the same asked of a cluster that enforces them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from clients.retry import until
from dags.operators import TASK_LABELS
from deploy import pods
from deploy.helm import UMBRELLA, Helm, arguments
from images.builder import image_name
from support import inside
from support.platform import PROMETHEUS, REGISTRY, RESTRICTED_CONTAINER, RESTRICTED_POD, Platform
from support.rendering import SIZES, STANDALONE, containers, of, render, templates

NAME = "app.kubernetes.io/name"
OPERATORS = ("spark-ingest", "spark-speed")
JOBS = {f"{job}{part}" for job in OPERATORS for part in ("", "-executor")}
AIRFLOW = {f"airflow-{name}" for name in ("api-server", "scheduler", "dag-processor", "triggerer")}
HDFS = {"hdfs-namenode", "hdfs-datanode"}
HBASE = {"hbase-master", "hbase-regionserver", "hbase-thrift"}
READERS = {"airflow-task", "test"}
EVERYBODY = "everybody"
EGRESS = "global.networkPolicies.egress"
TASKS = "-airflow-task"
NEIGHBOUR = "neighbour"
INTENDED: dict[tuple[str, int], set[str]] = {
    ("kafka", 9092): {"kafka", "generator", "kafka-topics", "test", *JOBS},
    ("kafka", 9093): {"kafka"},
    ("kafka", 9094): {"kafka", "kafka-topics"},
    ("zookeeper", 2181): {"hdfs-namenode", *HBASE},
    ("zookeeper", 2888): {"zookeeper"},
    ("zookeeper", 3888): {"zookeeper"},
    ("hdfs-namenode", 8019): {"hdfs-namenode"},
    ("hdfs-namenode", 8020): {*HDFS, "hive-metastore", "sql", *HBASE, *JOBS},
    ("hdfs-namenode", 9870): {
        "hdfs-namenode",
        "hdfs-folders",
        "hive-metastore",
        "sql",
        "serving",
        *HBASE,
        *READERS,
        *JOBS,
    }
    - {"spark-speed-executor"},
    ("hdfs-journalnode", 8480): {"hdfs-namenode", "hdfs-journalnode"},
    ("hdfs-journalnode", 8485): {"hdfs-namenode", "hdfs-journalnode"},
    ("hdfs-datanode", 9866): {*HDFS, "hive-metastore", "sql", *HBASE, *JOBS},
    ("hdfs-datanode", 9867): {*HDFS, "hive-metastore", "sql", *HBASE, *JOBS},
    ("hdfs-datanode", 9864): {"spark-ingest", "spark-ingest-executor", "serving", *READERS},
    ("hbase-master", 16000): HBASE,
    ("hbase-regionserver", 16030): {"hbase-thrift"},
    ("hbase-regionserver", 16020): HBASE,
    ("hbase-thrift", 9090): {"hbase-tables", "spark-speed", "spark-speed-executor", "serving", *READERS},
    ("hive-metastore", 9083): {"sql", "spark-ingest", *READERS},
    ("hive-metastore-postgres", 5432): {"hive-metastore"},
    ("sql", 21050): {"hive-tables", "serving", *READERS},
    ("spark-ingest", 7078): {"spark-ingest-executor"},
    ("spark-ingest", 7079): {"spark-ingest-executor"},
    ("spark-speed", 7078): {"spark-speed-executor"},
    ("spark-speed", 7079): {"spark-speed-executor"},
    ("serving", 8050): {EVERYBODY},
    ("airflow-api-server", 8080): {EVERYBODY},
    ("airflow-scheduler", 8793): {"airflow-api-server"},
    ("airflow-triggerer", 8794): {"airflow-api-server"},
    ("airflow-postgres", 5432): {"airflow-migrate", *AIRFLOW},
}
"""Of the standalone platform, by component and port. A port that is not here is closed: pages, health, metrics."""
Labels = dict[str, str]


def selects(selector: dict[str, Any], labels: Labels) -> bool:
    """Whether a label selector of equalities selects labels."""
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def allows(policies: list[dict[str, Any]], source: Labels, target: Labels, port: int) -> bool:
    """Whether policies of one namespace let a pod reach another's port, as Kubernetes reads them.

    Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    ingress = [policy["spec"] for policy in policies if "Ingress" in policy["spec"]["policyTypes"]]
    isolating = [spec for spec in ingress if selects(spec["podSelector"], target)]
    rules = [rule for spec in isolating for rule in spec.get("ingress") or []]
    return not isolating or any(
        ("ports" not in rule or port in [item["port"] for item in rule["ports"]])
        and ("from" not in rule or any(selects(peer["podSelector"], source) for peer in rule["from"]))
        for rule in rules
    )


class Rendered:
    """A release as rendered: its pods' labels and ports, its policies, and the component behind each Service."""

    def __init__(self, manifests: list[dict[str, Any]]) -> None:
        self.policies = [*of(manifests, "NetworkPolicy").values()]
        self.pods = {item["metadata"]["labels"][NAME]: item for manifest in manifests for item in templates(manifest)}
        self.labels: dict[str, Labels] = {name: pod["metadata"]["labels"] for name, pod in self.pods.items()}
        self.labels |= {"airflow-task": TASK_LABELS, EVERYBODY: {}}
        self.services = {name: item["spec"]["selector"][NAME] for name, item in of(manifests, "Service").items()}

    def ports(self) -> Iterator[tuple[str, int]]:
        """Every port of every pod."""
        for name, pod in self.pods.items():
            for container in pod["spec"]["containers"]:
                for port in container.get("ports", []):
                    yield name, port["containerPort"]

    def reached_by(self, component: str, port: int) -> set[str]:
        return {
            name for name, labels in self.labels.items() if allows(self.policies, labels, self.labels[component], port)
        }


@pytest.fixture(scope="module")
def standalone(charts: Path) -> Rendered:
    return Rendered(render((STANDALONE,), **{"hdfs.ha.enabled": True}))


def test_who_reaches_whom_is_what_is_intended(standalone: Rendered) -> None:
    found = {place: names for place in standalone.ports() if (names := standalone.reached_by(*place))}
    everybody = set(standalone.labels)
    assert found == {place: everybody if EVERYBODY in names else names for place, names in INTENDED.items()}


def test_executors_are_reached_by_their_own_job_alone(standalone: Rendered) -> None:
    for job in OPERATORS:
        assert standalone.reached_by(f"{job}-executor", 40_000) == {job, f"{job}-executor"}


def test_a_stranger_is_let_in_nowhere_and_helm_test_sends_one(charts: Path) -> None:
    manifests = render((STANDALONE,))
    rendered = Rendered(manifests)
    environment = {item["name"]: item["value"] for item in rendered.pods["stranger"]["spec"]["containers"][0]["env"]}
    service, _, port = environment["ADDRESS"].partition(":")
    assert "stranger" not in rendered.reached_by(rendered.services[service], int(port))
    open_places = {place for place, names in INTENDED.items() if EVERYBODY in names}
    assert {place for place in rendered.ports() if "stranger" in rendered.reached_by(*place)} == open_places
    for off in ("global.networkPolicies.enabled", "hdfs.enabled"):
        assert "lambda-test-doors-are-shut" not in of(render((STANDALONE,), **{off: False}), "Pod")


def test_a_pod_reaches_the_platform_and_nothing_else(standalone: Rendered) -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in standalone.policies}
    dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    platform = {"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "lambda"}}}]}
    for name in ("lambda-egress", "lambda-egress-airflow-task"):
        assert policies[name]["policyTypes"] == ["Egress"]
        assert policies[name]["egress"] == [dns, platform]
    for component, labels in standalone.labels.items():
        selected = [selects(policies[f"lambda-egress{of_tasks}"]["podSelector"], labels) for of_tasks in ("", TASKS)]
        assert any(selected) == (component != EVERYBODY), component
    assert {name for name, spec in policies.items() if "Egress" in spec["policyTypes"]} == {
        "lambda-egress",
        "lambda-egress-airflow-task",
        "lambda-egress-api-server",
    }


def test_those_that_have_a_token_reach_the_api_server(charts: Path) -> None:
    for values in ({}, {"spark.mode": "operator"}):
        manifests = render((STANDALONE,), **values)
        spec = of(manifests, "NetworkPolicy")["lambda-egress-api-server"]["spec"]
        (expression,) = spec["podSelector"]["matchExpressions"]
        tokens = {
            pod["metadata"]["labels"][NAME]
            for manifest in manifests
            for pod in templates(manifest)
            if pod["spec"].get("automountServiceAccountToken", True)
        }
        assert set(expression["values"]) >= tokens - {f"{job}-executor" for job in OPERATORS}
        assert spec["egress"] == [{"ports": [{"port": 443}, {"port": 6443}]}]


@pytest.mark.parametrize(
    "name",
    [
        *(f"global.addresses.{part}" for part in ("kafka", "hdfs", "zookeeper", "hbaseThrift", "metastore", "sql")),
        *(f"{part}.postgres.external.host" for part in ("airflow", "hive-metastore")),
        *(f"{part}.otlpEndpoint" for part in ("airflow.metrics", "airflow.traces", "serving.traces")),
        *(f"{part}.lineage.openlineageUrl" for part in ("airflow", "spark", "sql")),
    ],
)
def test_what_is_outside_needs_a_way_out(charts: Path, name: str) -> None:
    secrets = {f"{part}.postgres.existingSecret": "mine" for part in ("airflow", "hive-metastore")}
    values = {**secrets, name: "other.example.com"}
    done = Helm().run("template", "lambda", str(UMBRELLA), *arguments((STANDALONE,), values))
    assert f"{name} is other.example.com, and pods may reach nothing but the platform" in done.stderr
    rule = {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}
    for policy in ("lambda-egress", "lambda-egress-airflow-task"):
        allowed = of(render((STANDALONE,), **values, **{f"{EGRESS}.allow": [rule]}), "NetworkPolicy")[policy]
        assert allowed["spec"]["egress"][-1] == rule
    assert not [
        policy
        for policy in of(render((STANDALONE,), **values, **{f"{EGRESS}.restricted": False}), "NetworkPolicy").values()
        if "Egress" in policy["spec"]["policyTypes"]
    ]


@pytest.mark.parametrize("part", ["airflow", "hive-metastore", "serving", "generator", "kafka", "hdfs", "hbase"])
def test_egress_is_limited_without_a_part_as_well(charts: Path, part: str) -> None:
    """Helm knows no values of a part that is not installed."""
    assert "lambda-egress" in of(render((STANDALONE,), **{f"{part}.enabled": False}), "NetworkPolicy")


CONTROLLER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
PAGES = {
    "hdfs": {("hdfs-namenode", 9870)},
    "hbase": {("hbase-master", 16010)},
    "spark": {("spark-ingest", 4040), ("spark-speed", 4040)},
}


@pytest.mark.parametrize("part", PAGES)
@pytest.mark.parametrize(
    "asks",
    [
        {"{part}.ingress.annotations": {"nginx.ingress.kubernetes.io/auth-url": "https://login.example.com"}},
        {"global.ingress.annotations": {"traefik.ingress.kubernetes.io/router.middlewares": "login@kubernetescrd"}},
        {"{part}.ingress.loginInFront": True},
    ],
)
def test_a_page_without_a_login_is_the_ingress_controllers_alone(
    charts: Path, part: str, asks: dict[str, object]
) -> None:
    values = {name.format(part=part): value for name, value in asks.items()} | {
        f"{part}.ingress.enabled": True,
        "global.networkPolicies.ingressController": [CONTROLLER],
    }
    manifests = render((STANDALONE,), **values)
    policies, shown = of(manifests, "NetworkPolicy"), of(manifests, "Ingress")
    for component, port in PAGES[part]:
        rule = policies[f"lambda-{component}"]["spec"]["ingress"][-1]
        assert rule == {"from": [CONTROLLER], "ports": [{"port": port, "protocol": "TCP"}]}
    found = [item for item in shown.values() if item["spec"]["rules"][0]["host"].startswith(part)]
    annotations = {key for item in found for key in item["metadata"].get("annotations", {})}
    assert len(found) == len(PAGES[part])
    assert annotations == {key for value in asks.values() if isinstance(value, dict) for key in value}


@pytest.mark.parametrize("part", PAGES)
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "puts a page on the ingress that asks nobody for a login"),
        ({"global.ingress.annotations": {"cert-manager.io/issuer": "auth-url"}}, "asks nobody for a login"),
        (
            {"{part}.ingress.loginInFront": True, "global.networkPolicies.ingressController": []},
            "say in global.networkPolicies.ingressController which pods may reach it",
        ),
    ],
)
def test_a_page_without_a_login_needs_one_in_front(
    charts: Path, part: str, values: dict[str, object], reason: str
) -> None:
    named = {"global.networkPolicies.ingressController": [CONTROLLER], f"{part}.ingress.enabled": True}
    given = named | {name.format(part=part): value for name, value in values.items()}
    done = Helm().run("template", "lambda", str(UMBRELLA), *arguments((STANDALONE,), given))
    assert f"{part}.ingress.enabled" in done.stderr
    assert reason in done.stderr


def waits(spec: dict[str, Any], settings: dict[str, str]) -> Iterator[str]:
    """The ``host:port`` that a pod waits for, and that its Job asks."""
    parts = {
        "topics": settings["ECOMMERCE_KAFKA_BOOTSTRAP"],
        "folders": settings["ECOMMERCE_WEBHDFS_URL"].replace("http://", ""),
        "hbase-tables": f"{settings['ECOMMERCE_HBASE_THRIFT_HOST']}:9090",
        "hive-tables": f"{settings['ECOMMERCE_SQL_HOST']}:21050",
    }
    for container in containers(spec):
        command = container.get("command") or []
        for word in command:
            if found := re.fullmatch(r"(?:http://)?(lambda-[\w-]+:\d+)/?", str(word)):
                yield found[1]
        if "jobs.prepare" in command:
            yield from (address for word in command if word in parts for address in parts[word].split(";"))


@pytest.mark.parametrize("size", SIZES)
def test_a_pod_may_reach_what_it_waits_for(charts: Path, size: str) -> None:
    manifests = render(SIZES[size])
    rendered = Rendered(manifests)
    settings = of(manifests, "ConfigMap")["lambda-settings"]["data"]
    checked = 0
    for name, pod in rendered.pods.items():
        for address in waits(pod["spec"], settings):
            service, _, port = address.partition(":")
            if service not in rendered.services:  # Strimzi makes Kafka's Service, and its policy
                assert service == "lambda-kafka-bootstrap"
                continue
            target = rendered.labels[rendered.services[service]]
            assert allows(rendered.policies, rendered.labels[name], target, int(port)), f"{name} waits for {address}"
            checked += 1
    assert checked > 15


def test_strimzi_lets_in_kafkas_clients_alone(charts: Path) -> None:
    (kafka,) = of(render(()), "Kafka").values()
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    peers = {peer["podSelector"]["matchLabels"][NAME] for peer in listener["networkPolicyPeers"]}
    assert peers == INTENDED["kafka", 9092]


def test_more_peers_are_let_in_by_values(charts: Path) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
    allow = {"kafka": [{"from": [peer], "ports": [{"port": 9092}]}]}
    values = {f"global.networkPolicies.{name}": value for name, value in {"allow": allow, "prometheus": [peer]}.items()}
    rendered = of(render((STANDALONE,), **values), "NetworkPolicy")
    assert rendered["lambda-kafka"]["spec"]["ingress"][-1] == allow["kafka"][0]
    assert rendered["lambda-metrics"]["spec"]["ingress"][-1] == {
        "from": [peer],
        "ports": [{"port": "metrics", "protocol": "TCP"}],
    }
    (kafka,) = of(render((), **values), "Kafka").values()
    assert peer in kafka["spec"]["kafka"]["listeners"][0]["networkPolicyPeers"]
    assert not of(render((STANDALONE,), **{"global.networkPolicies.enabled": False}), "NetworkPolicy")


def test_prometheus_reads_metrics_and_no_page(platform: Platform) -> None:
    if platform.cluster.provider.name == "existing":
        pytest.skip("whether the network of an existing cluster enforces NetworkPolicies is not known")
    found = platform.release.core.list_namespaced_pod(
        platform.release.namespace, label_selector=platform.release.selector, field_selector="status.phase=Running"
    ).items
    addresses = {
        f"{pod.status.pod_ip}:{port.container_port}": (pod.metadata.labels[NAME], port)
        for pod in found
        for container in pod.spec.containers
        for port in container.ports or []
    }
    intended = [
        address
        for address, (component, port) in addresses.items()
        if port.name == "metrics" or EVERYBODY in INTENDED.get((component, port.container_port), set())
    ]
    assert {addresses[address][0] for address in intended} >= {"hdfs-namenode", "hdfs-datanode", "hbase-master", "sql"}
    command = inside.command("connect", json.dumps([*addresses]), json.dumps(intended))
    image = image_name("tasks", REGISTRY or "docker.io")
    printed = pods.run(platform.release, image, command, component=PROMETHEUS)
    assert json.loads(printed.splitlines()[-1]) == intended


@pytest.mark.parametrize("component", ["test", "stranger"])
def test_the_cluster_lets_in_who_is_intended(platform: Platform, component: str) -> None:
    if platform.cluster.provider.name == "existing":
        pytest.skip("whether the network of an existing cluster enforces NetworkPolicies is not known")
    services = platform.release.core.list_namespaced_service(
        platform.release.namespace, label_selector=platform.release.selector
    ).items
    addresses = {
        f"{service.metadata.name}:{port.port}": (service.spec.selector[NAME], port.port)
        for service in services
        for port in service.spec.ports
    }
    assert len(addresses) > 20
    image = image_name("tasks", REGISTRY or "docker.io")
    intended = [name for name, place in addresses.items() if {component, EVERYBODY} & INTENDED.get(place, set())]
    command = inside.command("connect", json.dumps([*addresses]), json.dumps(intended))
    printed = pods.run(platform.release, image, command, component=component, kafka_client=platform.kafka_client)
    assert json.loads(printed.splitlines()[-1]) == intended


def reached(platform: Platform, addresses: list[str], intended: list[str]) -> list[str]:
    """The addresses that a pod of the tests reaches, once its network has had time to read the policies."""
    return list(platform.inside("connect", json.dumps(addresses), json.dumps(intended)))


@pytest.fixture
def neighbour(platform: Platform) -> Iterator[str]:
    """The address of a pod that is none of the platform's and takes connections: the kubelet says so."""
    core, namespace = platform.release.core, platform.release.namespace
    image = image_name("tasks", REGISTRY or "docker.io")
    container = {
        "name": NEIGHBOUR,
        "image": image,
        "command": ["python", "-m", "http.server", "8000"],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        "securityContext": RESTRICTED_CONTAINER,
    }
    spec = {"containers": [container], "securityContext": RESTRICTED_POD, "terminationGracePeriodSeconds": 0}
    core.create_namespaced_pod(namespace, {"metadata": {"name": NEIGHBOUR}, "spec": spec})

    def ready() -> str:
        status = core.read_namespaced_pod(NEIGHBOUR, namespace).status
        return str(status.pod_ip) if status.container_statuses and status.container_statuses[0].ready else ""

    yield f"{until(ready, seconds=120, what='a neighbour that listens')}:8000"
    core.delete_namespaced_pod(NEIGHBOUR, namespace)


def test_the_cluster_lets_a_pod_out_to_the_platform_alone(platform: Platform, neighbour: str) -> None:
    if platform.cluster.provider.name == "existing":
        pytest.skip("whether the network of an existing cluster enforces NetworkPolicies is not known")
    kafka = f"{platform.release.name}-kafka-bootstrap:9092"
    assert reached(platform, [kafka, neighbour], [kafka]) == [kafka]
    name, namespace = f"{platform.release.name}-egress", platform.release.namespace
    networking = client.NetworkingV1Api(platform.release.api)
    policy = networking.read_namespaced_network_policy(name, namespace)
    peer = client.V1NetworkPolicyPeer(ip_block=client.V1IPBlock(cidr=f"{neighbour.partition(':')[0]}/32"))
    opened = [*policy.spec.egress, client.V1NetworkPolicyEgressRule(to=[peer])]
    networking.patch_namespaced_network_policy(name, namespace, {"spec": {"egress": opened}})
    try:
        assert reached(platform, [kafka, neighbour], [kafka, neighbour]) == [kafka, neighbour]
    finally:
        networking.patch_namespaced_network_policy(name, namespace, {"spec": {"egress": policy.spec.egress}})
