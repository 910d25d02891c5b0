"""Render the manifests of `deploy/kubernetes`, and run the container of a pod as a process of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import requests
from ruamel.yaml import YAML

from tests.support.engine import free_port
from tests.support.serving import ROOT, running

MANIFESTS = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.parent.name for path in MANIFESTS.glob("*/kustomization.yaml"))
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
REFERENCE = re.compile(r"\$\((\w+)\)")  # to a variable, in a command or in the value of a later one


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Replace the references to variables; as in Kubernetes, what names none stays."""
    return REFERENCE.sub(lambda match: variables.get(match[1], match[0]), text)


def tool(name: str) -> str:
    """Return the path of a program that the locks install beside Python."""
    return str(Path(sys.executable).with_name(name))


@cache
def rendered(overlay: str) -> str:
    """Return all manifests of an overlay, as `kubectl apply --kustomize` would send them."""
    command = [tool("kubectl"), "kustomize", str(MANIFESTS / overlay)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@cache
def resources(overlay: str) -> Sequence[Any]:
    return list(YAML(typ="safe", pure=True).load_all(rendered(overlay)))


def find(overlay: str, kind: str, name: str) -> Any:
    """Return one resource; that of a generator is also found without the hash at its end."""
    names = re.compile(f"{name}(-[a-z0-9]{{10}})?")
    (resource,) = (
        resource
        for resource in resources(overlay)
        if resource["kind"] == kind and names.fullmatch(resource["metadata"]["name"])
    )
    return resource


def template(workload: Any) -> Any:
    """Return the template of the pods of a Deployment, a StatefulSet or a CronJob; None of anything else."""
    spec = workload.get("spec", {})
    return spec.get("jobTemplate", {"spec": spec})["spec"].get("template")


def workloads(overlay: str) -> list[Any]:
    """Return what has pods."""
    return [resource for resource in resources(overlay) if template(resource)]


def ordinals(workload: Any) -> range:
    """Return the numbers of the pods of a StatefulSet."""
    start = workload["spec"]["ordinals"]["start"]
    return range(start, start + workload["spec"]["replicas"])


class Pod:
    """A pod of a workload. Its container runs as a process, and each of its ports is a free one of this machine.

    `number` is that of the pod in its StatefulSet or Indexed Job, `volumes` are folders by the name of the volume.
    """

    def __init__(self, overlay: str, workload: Any, number: int = 0, **volumes: Path) -> None:
        self._overlay, self._volumes = overlay, volumes
        (self.container,) = template(workload)["spec"]["containers"]
        self._fields = {
            "metadata.labels['apps.kubernetes.io/pod-index']": str(number),
            "metadata.annotations['batch.kubernetes.io/job-completion-index']": str(number),
        }
        is_indexed = workload["spec"].get("jobTemplate", {"spec": {}})["spec"].get("completionMode") == "Indexed"
        self._added = {"JOB_COMPLETION_INDEX": str(number)} if is_indexed else {}
        self._ports = {port["name"]: (port["containerPort"], free_port()) for port in self.container.get("ports", [])}

    def environment(self) -> dict[str, str]:
        """Return the variables of the container. Mounted folders and ports are those of this machine."""
        variables: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            variables |= find(self._overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
        for variable in self.container.get("env", []):
            if "valueFrom" in variable:
                text = self._fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
            else:
                text = variable["value"]
            variables[variable["name"]] = expanded(text, variables)
        return {name: self._here(text) for name, text in variables.items()} | self._added

    def _here(self, text: str) -> str:
        for mount in self.container.get("volumeMounts", []):
            if mount["name"] in self._volumes:
                text = re.sub(rf"(?<![\w/]){mount['mountPath']}(?=/)", str(self._volumes[mount["name"]]), text)
        return next((str(free) for port, free in self._ports.values() if text == str(port)), text)

    @contextmanager
    def running(self, **environ: str) -> Iterator[subprocess.Popen[str]]:
        """Run the container's command with its environment, and with what the image or a user adds."""
        variables = self.environment()
        program, *arguments = (self._here(expanded(word, variables)) for word in self.container["command"])
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        found = shutil.which(program, path=path)
        assert found is not None, program
        with running(*arguments, environ={**variables, "PATH": path, **environ}, python=found) as process:
            yield process

    def address(self, port: str) -> str:
        """Return the address of a named port."""
        return f"http://127.0.0.1:{self._ports[port][1]}"

    def passes(self, probe: str) -> bool:
        """Ask as kubelet does."""
        request = self.container[probe]["httpGet"]
        try:
            answer = requests.get(f"{self.address(request['port'])}{request['path']}", timeout=10)
        except requests.ConnectionError:
            return False
        return 200 <= answer.status_code < 400
