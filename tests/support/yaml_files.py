"""Read the YAML files of this repository: workflows and the Render Blueprint."""

from typing import Any

from ruamel.yaml import YAML

from tests.support.serving import ROOT


def read_yaml(name: str) -> Any:
    """Return the content of a file, named from the root of the repository."""
    return YAML(typ="safe", pure=True).load(ROOT / name)


def read_workflow(name: str) -> Any:
    """Return a workflow, named by its file: ``release.yml``."""
    return read_yaml(f".github/workflows/{name}")


def find_step(workflow: Any, job: str, name: str) -> Any:
    (step,) = (step for step in workflow["jobs"][job]["steps"] if step.get("name") == name)
    return step
