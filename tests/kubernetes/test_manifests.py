"""The manifests of `deploy/kubernetes` are valid, and agree with the image, the options, the rules and each other."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from crypto_predict.collecting.options import DEFAULT_PAIRS
from crypto_predict.command_line import REFUSED
from crypto_predict.market.collected import Shard
from tests.support.kubernetes import OVERLAYS, Pod, find, ordinals, rendered, resources, template, tool, workloads
from tests.support.serving import ROOT
from tests.support.yaml_files import read_yaml

DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs" / "self-hosting.md").read_text(encoding="utf-8")
OPTIONS = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OLDEST = "1.32"  # where labels of a pod have the ordinal of a StatefulSet for sure
UNKNOWN = ["ServiceMonitor"]  # kinds of the Prometheus operator
WORKLOADS = [(overlay, workload) for overlay in OVERLAYS for workload in workloads(overlay)]
on_each_workload = pytest.mark.parametrize(
    ("overlay", "workload"), WORKLOADS, ids=[f"{overlay}-{each['metadata']['name']}" for overlay, each in WORKLOADS]
)


@pytest.mark.parametrize("version", [OLDEST, "1.37"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_valid_by_the_strict_schema_of_kubernetes(overlay: str, version: str, tmp_path: Path) -> None:
    """A member with a typing error would be ignored by the cluster: a container would have rights or no probe."""
    (tmp_path / "manifests.yaml").write_text(rendered(overlay))
    command = [tool("kubernetes-validate"), "--strict", "--kubernetes-version", version, "manifests.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [resource["kind"] for resource in resources(overlay)]
    unchecked = [kind for kind in kinds if kind in UNKNOWN]
    assert done.stdout.count("passed for resource") == len(kinds) - len(unchecked)
    assert re.findall(r"Couldn't find schema for kind (\w+)", done.stdout) == unchecked


@on_each_workload
def test_a_container_has_no_rights_and_is_that_of_the_image(overlay: str, workload: Any) -> None:
    """The user and the program are those that the image was tested with."""
    pod = template(workload)["spec"]
    (container,) = pod["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user[1]),
        "runAsGroup": int(user[2]),
        "fsGroup": int(user[2]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, f"{overlay}: variables such as API_PORT would be added"
    assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
    assert container["resources"].keys() == {"requests", "limits"}
    programs = re.findall(r"\bpython ([\w.]+)", " ".join(container["command"]))
    assert [(ROOT / program).is_file() for program in programs] == [True]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_selects_pods_selects_those_of_one_workload(overlay: str) -> None:
    """A selector without pods is no error for Kubernetes: nothing would be balanced, protected or kept."""
    labels = {each["metadata"]["name"]: template(each)["metadata"]["labels"] for each in workloads(overlay)}
    for resource in resources(overlay):
        name, spec = resource["metadata"]["name"], resource.get("spec", {})
        if resource["kind"] == "Service":
            assert spec["selector"].items() <= labels[name].items()
        elif resource["kind"] in {"PodDisruptionBudget", "NetworkPolicy"}:
            selector = spec.get("selector") or spec["podSelector"]
            assert selector["matchLabels"].items() <= labels[name].items()
        elif resource["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] in labels
    guarded = {resource["metadata"]["name"] for resource in resources(overlay) if resource["kind"] == "NetworkPolicy"}
    assert guarded == labels.keys()


@on_each_workload
def test_each_port_that_is_named_exists(overlay: str, workload: Any) -> None:
    name, (container,) = workload["metadata"]["name"], template(workload)["spec"]["containers"]
    named = {port["name"] for port in container.get("ports", [])}
    services = [
        resource
        for resource in resources(overlay)
        if (resource["kind"], resource["metadata"]["name"]) == ("Service", name)
    ]
    assert {port["targetPort"] for service in services for port in service["spec"]["ports"]} == named
    rules = find(overlay, "NetworkPolicy", name)["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == named


def test_each_collector_has_its_own_shard_and_no_shard_is_missing() -> None:
    """A collector whose shard has no pair is never ready; two with the same shard would end each other."""
    collector = find("live", "StatefulSet", "collector")
    pods = [Pod("live", collector, ordinal, database=Path("/mounted")) for ordinal in ordinals(collector)]
    count = len(pods)
    assert [pod.environment()["SHARD"] for pod in pods] == [f"{number}/{count}" for number in range(1, count + 1)]
    assert all(any(pair in Shard(number, count) for pair in DEFAULT_PAIRS) for number in range(1, count + 1))


@pytest.mark.parametrize(
    ("overlay", "name", "chapter"), [("live", "collector", "Collecting"), ("training", "training", "Training")]
)
def test_the_settings_of_a_program_are_its_options(overlay: str, name: str, chapter: str) -> None:
    """The guide lists exactly the options (`test_docs.py`)."""
    settings = find(overlay, "ConfigMap", name)["data"]
    options = set(
        re.findall(r"^\| `--([\w-]+)", OPTIONS.partition(f"\n## {chapter}: ")[2].partition("\n## ")[0], re.MULTILINE)
    )
    assert {setting.lower().replace("_", "-") for setting in settings} <= options
    assert set(settings.values()) == {""}, "the manifests begin with the defaults"


def test_a_training_ignores_disruptions_and_does_not_repeat_what_cannot_succeed() -> None:
    """Otherwise a node that is drained costs a shard an attempt, and a refusal by the gate is trained again."""
    job = find("training", "CronJob", "training")["spec"]["jobTemplate"]["spec"]
    ignored, failed = job["podFailurePolicy"]["rules"]
    assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert failed["onExitCodes"]["values"] == [REFUSED]
    assert job["backoffLimitPerIndex"] == 3


def test_rules_and_dashboard_are_the_files_that_the_tests_of_the_metrics_check() -> None:
    """A copy would be forgotten at the next change."""
    rules, dashboard = find("live", "ConfigMap", "alerts"), find("live", "ConfigMap", "dashboard")
    assert rules["data"] == {"alerts.yml": (DEPLOY / "prometheus" / "alerts.yml").read_text()}
    assert dashboard["data"] == {"collector.json": (DEPLOY / "grafana" / "collector.json").read_text()}


def test_every_service_that_a_rule_names_is_scraped() -> None:
    """The Prometheus operator takes the name of the Service as the label `job`, by which the rules find it."""
    jobs = set(re.findall(r'job="(\w+)"', (DEPLOY / "prometheus" / "alerts.yml").read_text()))
    monitor = find("live", "ServiceMonitor", "crypto-predict")["spec"]
    ports = {endpoint["port"] for endpoint in monitor["endpoints"]}
    for job in jobs:
        service = find("live", "Service", job)
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert {port["name"] for port in service["spec"]["ports"]} <= ports
    assert jobs == {"api", "collector"}


def test_the_command_of_the_guide_makes_a_rule_of_the_operator_from_the_same_file() -> None:
    match = re.search(r"^(\{ echo .*?\}) \| kubectl apply", GUIDE, re.MULTILINE | re.DOTALL)
    assert match is not None
    made = subprocess.run(["bash", "-c", match[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rule = YAML(typ="safe", pure=True).load(made)
    assert (rule["kind"], rule["metadata"]["namespace"]) == ("PrometheusRule", "crypto-predict")
    assert rule["spec"] == read_yaml("deploy/prometheus/alerts.yml")
