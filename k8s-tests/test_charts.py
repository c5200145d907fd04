"""The charts as Helm renders them: without a cluster, but with the real Helm."""

import json
import os
import re
import subprocess
import zipfile
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml

from contracts import paths
from contracts.acls import CLIENTS
from contracts.settings import Settings
from contracts.topics import TOPICS
from deploy import readmes, schemas
from deploy.helm import CHARTS, UMBRELLA, Helm, arguments
from deploy.pods import like_tests
from jobs import acls
from jobs.batch.tasks.check_data import main as check_data
from jobs.compaction.__main__ import main as compaction
from jobs.retention import main as retention
from local.site import ROOT
from support.rendering import PLAIN, SIZES, STANDALONE, containers, of, pod_specs, render, templates


@pytest.fixture(scope="module", params=SIZES)
def manifests(request: pytest.FixtureRequest, charts: Path) -> list[dict[str, Any]]:
    return render(SIZES[request.param])


def test_schemas_are_made_from_the_values() -> None:
    for file, text in schemas.files().items():
        assert file.read_text() == text, f"{file} is old: run `make schemas`"


def test_readmes_are_made_from_the_values() -> None:
    for file, text in readmes.files().items():
        assert file.read_text() == text, f"{file} is old: run `make readmes`"


def test_helm_finds_nothing_to_complain_about(charts: Path) -> None:
    printed = Helm().call("lint", str(UMBRELLA), "--strict", "--values", str(STANDALONE))
    assert "0 chart(s) failed" in printed


def test_only_programs_that_write_raw_data_own_it(charts: Path) -> None:
    """The tasks say who they are themselves, HDFS's servers are what their image is."""
    manifests = render(SIZES["default"])
    found = {
        component: user
        for component, spec in pod_specs(manifests)
        for container in containers(spec)
        for user in users_of(container)
    }
    assert {user for name, user in found.items() if "impala" in name} == {paths.BATCH}
    others = {name.rpartition("lambda-")[2]: user for name, user in found.items() if "impala" not in name}
    assert others == {"sql": paths.BATCH, "serving": paths.READER}
    image = (ROOT / "images" / "base" / "Dockerfile").read_text()
    assert f" HADOOP_USER_NAME={paths.OWNER} " in image
    assert f" HADOOP_USER_NAME={paths.SUPERUSER}\n" in (ROOT / "images" / "hadoop" / "Dockerfile").read_text()
    settings = of(manifests, "ConfigMap")["lambda-settings"]["data"]
    assert settings["ECOMMERCE_HDFS_USER"] == paths.OWNER
    server = "".join(of(manifests, "ConfigMap")["lambda-hdfs"]["data"].values())
    assert f"<value>{paths.OWNER},{paths.BATCH}</value>" in server
    assert f"<value>dr.who=;{'=;'.join(paths.USERS)}=</value>" in server


def users_of(container: dict[str, Any]) -> list[str]:
    """What a container's environment says of its user of HDFS."""
    names = ("HADOOP_USER_NAME", "ECOMMERCE_HDFS_USER")
    return [item["value"] for item in container.get("env", []) if item["name"] in names]


def test_every_container_is_restricted(manifests: list[dict[str, Any]]) -> None:
    for name, spec in pod_specs(manifests):
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["enableServiceLinks"] is False, name
        for container in containers(spec):
            context = container["securityContext"]
            assert not context["allowPrivilegeEscalation"], (name, container["name"])
            assert context["readOnlyRootFilesystem"], (name, container["name"])
            assert context["capabilities"] == {"drop": ["ALL"]}, (name, container["name"])


def test_every_container_has_resources(manifests: list[dict[str, Any]]) -> None:
    for name, spec in pod_specs(manifests):
        for container in containers(spec):
            assert container["resources"]["requests"]["memory"], (name, container["name"])
            assert container["resources"]["limits"]["memory"], (name, container["name"])


def test_every_server_is_probed(manifests: list[dict[str, Any]]) -> None:
    for name, spec in pod_specs(manifests):
        if name.startswith(("Deployment/", "StatefulSet/")):
            for server, kind in product(spec["containers"], ("startupProbe", "readinessProbe", "livenessProbe")):
                if server["name"] == "metrics":
                    assert server.keys() & {"readinessProbe", "livenessProbe"} == {"livenessProbe"}
                    continue
                question = server[kind].get("httpGet") or server[kind]["exec"]["command"]
                # The failover controller of HDFS answers nothing that a probe could ask.
                port_alone = list(question)[:2] == ["probe", "tcp"] and server["name"] != "zkfc"
                assert not port_alone, f"{kind} of {name} asks for the port alone"


def test_labels_follow_helms_conventions(manifests: list[dict[str, Any]]) -> None:
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "lambda", manifest["metadata"]["name"]
        assert {"app.kubernetes.io/name", "app.kubernetes.io/version", "helm.sh/chart"} <= set(labels)
        assert manifest["metadata"].get("namespace", "shop") == "shop"


def test_names_are_used_once(manifests: list[dict[str, Any]]) -> None:
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


def test_pods_use_accounts_of_their_own(manifests: list[dict[str, Any]]) -> None:
    accounts = of(manifests, "ServiceAccount")
    for name, spec in pod_specs(manifests):
        assert spec["serviceAccountName"] in accounts, name


def test_passwords_are_in_secrets_alone(manifests: list[dict[str, Any]]) -> None:
    secrets = [value for item in of(manifests, "Secret").values() for value in item["data"].values()]
    assert secrets
    others = json.dumps([item for item in manifests if item["kind"] != "Secret"])
    assert not [value for value in secrets if len(value) > 10 and value in others]
    for _, spec in pod_specs(manifests):
        for container in containers(spec):
            for variable in container.get("env", []):
                if "PASSWORD" in variable["name"] and not variable["name"].endswith("PASSWORDS_FILE"):
                    assert "valueFrom" in variable, variable["name"]


def test_settings_are_those_of_the_contracts(manifests: list[dict[str, Any]]) -> None:
    settings = of(manifests, "ConfigMap")["lambda-settings"]["data"]
    own = {"ECOMMERCE_KAFKA_USER", "ECOMMERCE_KAFKA_CREDENTIALS", "ECOMMERCE_SQL_CREDENTIALS"}  # each pod's own
    options = [option for command in (check_data, compaction, retention) for option in command.params]
    told = {option.envvar for option in options if option.envvar}
    assert set(settings) == (set(Settings().as_environment()) | told) - own
    defaults = {option.envvar: option.default for option in options}
    lake = {name: settings[name] for name in told - set(Settings().as_environment())}
    assert lake == {name: str(defaults[name]) for name in lake}
    assert Settings.from_environment(settings).hdfs_uri == "hdfs://lambda-hdfs-namenode"


def test_kafka_clients_are_those_of_the_contracts(charts: Path) -> None:
    may = {client.name: {"read": [*client.reads], "write": [*client.writes]} for client in CLIENTS}
    assert yaml.safe_load((CHARTS / "kafka" / "values.yaml").read_text())["clients"] == may
    rights = {
        name: {
            (acl["resource"]["name"], operation)
            for acl in user["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        }
        for name, user in of(render(()), "KafkaUser").items()
    }
    assert rights == {
        f"lambda-kafka-{client.name}": {
            (acl.resource_pattern.resource_name, acl.operation.name.capitalize()) for acl in acls.rights(client, "")
        }
        for client in CLIENTS
    }


@pytest.mark.parametrize("files", [(), (STANDALONE,)], ids=["operators", "standalone"])
def test_a_pod_has_the_login_of_its_own_client_alone(charts: Path, files: tuple[Path, ...]) -> None:
    logins: dict[str, set[str]] = {}
    for manifest in render(files):
        for template in templates(manifest):
            mounted = {
                source["secret"]["name"].removeprefix("lambda-kafka-")
                for volume in template["spec"].get("volumes", [])
                for source in volume.get("projected", {}).get("sources", [])
                if source.get("secret", {}).get("name", "").startswith("lambda-kafka-")
            }
            if mounted:
                logins.setdefault(template["metadata"]["labels"]["app.kubernetes.io/name"], set()).update(mounted)
    everyone = {client.name for client in CLIENTS}
    brokers = {"kafka": {"server"}, "kafka-topics": {"admin", *everyone}} if files else {}
    assert logins == brokers | {
        "generator": {"generator"},
        "spark-ingest": {"ingest"},
        "spark-ingest-executor": {"ingest"},
        "spark-speed": {"speed"},
        "spark-speed-executor": {"speed"},
        "test": {"audit"},
    }


@pytest.mark.parametrize("values", [PLAIN, {}], ids=["plain", "secured"])
def test_a_command_by_hand_is_as_a_test_with_the_login_of_another_client(
    charts: Path, values: dict[str, object]
) -> None:
    rendered = render((STANDALONE,), **values)
    (test, *_) = [item for name, item in of(rendered, "Pod").items() if name != "lambda-test-doors-are-shut"]
    pod = like_tests(yaml.safe_dump_all(rendered), ["python", "-m", "jobs.replay"], "replay")
    assert pod["spec"]["containers"][0]["command"] == ["python", "-m", "jobs.replay"]
    for part in ("image", "envFrom", "securityContext", "volumeMounts"):
        assert pod["spec"]["containers"][0][part] == test["spec"]["containers"][0][part]
    assert pod["metadata"]["labels"] == test["metadata"]["labels"]
    assert "annotations" not in pod["metadata"], "Helm would take it for a hook"
    text = json.dumps(pod)
    assert ("lambda-kafka-replay" in text) == (values != PLAIN)
    assert "lambda-kafka-audit" not in text


def test_the_script_of_the_stranger_fails_where_it_gets_in(charts: Path, tmp_path: Path) -> None:
    (container,) = of(render((STANDALONE,)), "Pod")["lambda-test-doors-are-shut"]["spec"]["containers"]
    environment = {item["name"]: item["value"] for item in container["env"]}
    shut, everybodys = environment["ADDRESS"], environment["OPEN"]
    assert everybodys == "lambda-serving:8050"
    for name, script in {
        "probe": 'for last; do :; done; case " $REACHED " in *" $last "*) ;; *) exit 1 ;; esac',
        "sleep": "",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    for reached, told in {
        (everybodys,): "",
        (everybodys, shut): f"reached {shut}: this cluster's network does not enforce them",
        (): f"does not reach {everybodys} either",
        (shut,): f"does not reach {everybodys} either",
    }.items():
        path = f"{tmp_path}:{os.environ['PATH']}"
        given = {**environment, "PATH": path, "REACHED": " ".join(reached)}
        done = subprocess.run(container["command"], env=given, capture_output=True, text=True)
        assert (done.returncode, told in done.stderr) == (bool(told), True), reached


def test_pages_of_production_are_served_by_tls(charts: Path) -> None:
    pages = of(render(SIZES["production"]), "Ingress")
    assert pages
    for page in pages.values():
        (rule,) = page["spec"]["rules"]
        assert page["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "ecommerce-lambda-tls"}]


def test_airflow_has_users_with_roles(charts: Path) -> None:
    rendered = render((STANDALONE,), **{"airflow.users": {"ann": "viewer", "bob": "op"}})
    login = of(rendered, "Secret")["lambda-airflow-login"]["data"]
    assert set(login) == {"username", "password", "ann-password", "bob-password"}
    assert len(set(login.values())) == 4
    (server,) = [
        template["spec"]["containers"][0]
        for manifest in rendered
        for template in templates(manifest)
        if template["metadata"]["labels"]["app.kubernetes.io/name"] == "airflow-api-server"
    ]
    environment = {item["name"]: item.get("value") for item in server["env"]}
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "$(LOGIN_USERNAME):admin,ann:viewer,bob:op"
    done = Helm().run(
        "template", "lambda", str(UMBRELLA), *arguments((STANDALONE,), {"airflow.users": {"ann": "root"}})
    )
    assert done.returncode
    assert "airflow" in done.stderr


def test_kafka_is_secured_unless_it_shall_be_plain(charts: Path) -> None:
    for files in ((), (STANDALONE,)):
        plain, secured = (json.dumps(render(files, **values)) for values in (PLAIN, {}))
        for word in ("KAFKA_CREDENTIALS", "kafka-client"):
            assert word not in plain
            assert word in secured
        assert "scram-sha-512" not in plain.lower()
        assert "scram-sha-512" in secured.lower()


def test_kafka_topics_are_those_of_the_contracts(charts: Path) -> None:
    rendered = {
        name: (item["spec"]["partitions"], item["spec"]["config"])
        for name, item in of(render(()), "KafkaTopic").items()
    }
    assert rendered == {topic.name: (topic.partitions, topic.config) for topic in TOPICS}


def test_the_pods_that_strimzi_makes_are_restricted(charts: Path) -> None:
    resources = {item["kind"]: item.get("spec", {}) for item in render(())}
    pool, entities = resources["KafkaNodePool"]["template"], resources["Kafka"]["entityOperator"]["template"]
    for pod in (pool["pod"], entities["pod"]):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pool["pod"]["securityContext"]["fsGroup"] == 0  # the group of Strimzi's user, who writes to the volume
    for template in (pool["kafkaContainer"], entities["topicOperatorContainer"], entities["userOperatorContainer"]):
        context = template["securityContext"]
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_topics_go_without_the_operator_that_leaves_first(charts: Path) -> None:
    (kafka,) = of(render(()), "Kafka").values()
    container = kafka["spec"]["entityOperator"]["template"]["topicOperatorContainer"]
    assert {"name": "STRIMZI_USE_FINALIZERS", "value": "false"} in container["env"]


def test_drivers_of_the_operator_are_as_those_of_the_native_mode(charts: Path) -> None:
    stateful = of(render(SIZES["kind"]), "StatefulSet")
    operated = of(render(SIZES["kind"], **{"spark.mode": "operator"}), "SparkApplication")
    assert set(operated) == {"lambda-spark-ingest", "lambda-spark-speed"}
    for name, application in operated.items():
        driver, native = application["spec"]["driver"], stateful[name]["spec"]["template"]["spec"]
        spec = driver["template"]["spec"]
        (container,), (of_native,) = spec["containers"], native["containers"]
        assert driver["serviceAccount"] == native["serviceAccountName"]
        assert driver["coreRequest"] == of_native["resources"]["requests"]["cpu"]
        for field in ("automountServiceAccountToken", "enableServiceLinks", "securityContext"):
            assert spec[field] == native[field], field
        assert container["securityContext"] == of_native["securityContext"]
        assert container["envFrom"] == of_native["envFrom"]


def test_executors_of_the_operator_are_labelled_as_such(charts: Path) -> None:
    """The operator gives them the application's labels, then ``executor.labels``; the template's lose."""
    applications = of(render(()), "SparkApplication")
    assert applications
    for item in applications.values():
        executor = item["spec"]["executor"]
        labels = executor["template"]["metadata"]["labels"] | item["metadata"]["labels"] | executor["labels"]
        assert labels == executor["template"]["metadata"]["labels"]


def test_spark_makes_no_network_policy_where_its_operator_may_not(charts: Path) -> None:
    (jar,) = Path(pyspark.__file__).parent.glob("jars/spark-kubernetes_*.jar")
    steps = zipfile.ZipFile(jar).namelist()
    for item in of(render(()), "SparkApplication").values():
        step = item["spec"]["sparkConf"]["spark.kubernetes.driver.pod.excludedFeatureSteps"]
        assert f"{step.replace('.', '/')}.class" in steps


def test_a_jobs_own_settings_of_spark_win(charts: Path) -> None:
    key, values = "spark.log.level", {"spark.jobs.ingest.conf": {"spark.log.level": "INFO"}}
    native = of(render(SIZES["kind"], **values), "StatefulSet")
    operated = of(render((), **values), "SparkApplication")
    levels = {name: item["spec"]["sparkConf"][key] for name, item in operated.items()}
    assert levels == {"lambda-spark-ingest": "INFO", "lambda-spark-speed": "WARN"}
    for name, level in levels.items():
        arguments = native[name]["spec"]["template"]["spec"]["containers"][0]["args"]
        assert [word for word in arguments if key in word] == [f"--conf={key}={level}"]


def test_files_are_kept_as_often_as_there_are_datanodes(charts: Path) -> None:
    for datanodes, replication in ((1, 1), (2, 2), (5, 3)):
        rendered = render((STANDALONE,), **{"hdfs.datanode.replicas": datanodes})
        sites = [item["data"]["hdfs-site.xml"] for item in rendered if "hdfs-site.xml" in item.get("data", {})]
        assert len(sites) == 2
        wanted = {f"{replication}", f"${{env.DFS_REPLICATION:-{replication}}}"}
        assert {re.findall(r"dfs.replication</name><value>(.*)</value>", site)[0] for site in sites} == wanted


@pytest.mark.parametrize(("datanodes", "leaving", "replication"), [(3, 1, 2), (5, 1, 3), (5, 4, 1)])
def test_datanodes_that_are_taken_away_are_named_to_the_namenodes(
    charts: Path, datanodes: int, leaving: int, replication: int
) -> None:
    values = {"hdfs.datanode.replicas": datanodes, "hdfs.datanode.decommission": leaving, "hdfs.ha.enabled": True}
    manifests = render((STANDALONE,), **values)
    servers = {name: of(manifests, "StatefulSet")[f"lambda-hdfs-{name}"] for name in ("namenode", "datanode")}
    pod = servers["namenode"]["spec"]["template"]["spec"]
    environment = {item["name"]: item.get("value") for item in pod["containers"][0]["env"]}
    members = servers["datanode"]["spec"]["serviceName"]
    assert servers["datanode"]["spec"]["replicas"] == datanodes
    assert environment["DFS_REPLICATION"] == f"{replication}"
    maps = {name: item["data"] for name, item in of(manifests, "ConfigMap").items()}
    assert maps["lambda-hdfs-leaving"]["hosts"].splitlines()[1:] == [
        f"lambda-hdfs-datanode-{number}.{members}.shop.svc" for number in range(datanodes - leaving, datanodes)
    ]
    assert f"dfs.replication</name><value>{replication}<" in maps["lambda-hdfs-client"]["hdfs-site.xml"]
    (mount,) = [item["mountPath"] for item in pod["containers"][0]["volumeMounts"] if item["name"] == "leaving"]
    assert f"dfs.hosts.exclude</name><value>{mount}/hosts<" in maps["lambda-hdfs"]["hdfs-site.xml"]


def test_some_datanode_stays(charts: Path) -> None:
    values = arguments((STANDALONE,), {"hdfs.datanode.replicas": 3, "hdfs.datanode.decommission": 3})
    done = Helm().run("template", "lambda", str(UMBRELLA), *values)
    assert "hdfs.datanode.decommission is 3 of 3 replicas: at least 1 has to stay" in done.stderr


def test_two_namenodes_are_one_name_to_all_clients(charts: Path) -> None:
    rendered = render((STANDALONE,), **{"hdfs.ha.enabled": True})
    maps, servers = of(rendered, "ConfigMap"), of(rendered, "StatefulSet")
    replicas = [servers[f"lambda-hdfs-{name}"]["spec"]["replicas"] for name in ("namenode", "journalnode")]
    assert replicas == [2, 3]
    settings = Settings.from_environment(maps["lambda-settings"]["data"])
    assert settings.hdfs_uri == "hdfs://lambda-hdfs-namenode"
    assert settings.webhdfs_url == "http://lambda-hdfs-namenode-0:9870;http://lambda-hdfs-namenode-1:9870"
    for name in ("lambda-hdfs", "lambda-hdfs-client"):
        site = maps[name]["data"]["hdfs-site.xml"]
        assert "<name>dfs.nameservices</name><value>lambda-hdfs-namenode</value>" in site
        assert set(re.findall(r"[\w-]+(?=:(?:8020|8485|9870)\b)", site)) <= of(rendered, "Service").keys()


def test_the_small_size_fits_two_cpus(charts: Path) -> None:
    requested = 0.0
    for name, spec in pod_specs(render(SIZES["kind"])):
        if name.startswith(("Deployment/", "StatefulSet/")):
            cpu = str(spec["containers"][0]["resources"]["requests"]["cpu"])
            requested += float(cpu.removesuffix("m")) / (1000 if cpu.endswith("m") else 1)
    assert requested < 1.6


@pytest.mark.parametrize("file", sorted(CHARTS.glob("*/values.yaml")), ids=lambda file: file.parent.name)
def test_every_value_has_a_comment(file: Path) -> None:
    lines = ["", *file.read_text().splitlines()]
    keys = [
        (before.strip(), line.split(":")[0].strip()) for before, line in pairwise(lines) if re.match(r" *\w.*:", line)
    ]
    assert keys
    plain = ("requests", "limits")  # explained where they stand: below resources
    assert [key for before, key in keys if not before.startswith("#") and key not in plain] == []
    top = {name.split(".")[0].strip("`") for name, _, _ in readmes.values(file.parent)}
    assert top == set(yaml.safe_load(file.read_text())), "what the README lists begins with `# --`"


@pytest.mark.parametrize("secured", [True, False])
def test_a_broker_of_three_stops_when_the_others_are_in_step(charts: Path, secured: bool) -> None:
    def pod(replicas: int) -> dict[str, Any]:
        values = {"kafka.replicas": replicas, "global.kafka.security.enabled": secured}
        found: dict[str, Any] = of(render((STANDALONE,), **values), "StatefulSet")["lambda-kafka"]["spec"]["template"]
        return found["spec"]

    (alone,) = pod(1)["containers"]
    assert "lifecycle" not in alone
    (broker,) = pod(3)["containers"]
    name, seconds, least, *asked = broker["lifecycle"]["preStop"]["exec"]["command"]
    assert (name, least) == ("stop-when-safe", "2")
    assert int(seconds) < pod(3)["terminationGracePeriodSeconds"]
    assert asked == [*broker["readinessProbe"]["exec"]["command"], "-J"]
