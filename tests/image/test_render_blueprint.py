"""The Render Blueprint: what can be tested without Render."""

import re
from typing import Any

import pytest

from crypto_predict.web.documentation.openapi import document
from tests.support.applications import snapshot_of
from tests.support.models import BTC, make_model
from tests.support.yaml_files import read_yaml


@pytest.fixture(scope="module")
def service() -> Any:
    """The one service of the Blueprint."""
    (service,) = read_yaml("render.yaml")["services"]
    return service


def test_it_is_a_web_service_from_an_image_on_the_free_plan(service: Any) -> None:
    """Without a plan Render chooses a paid one."""
    assert (service["type"], service["runtime"], service["plan"]) == ("web", "image", "free")


def test_it_has_only_the_fields_of_a_prebuilt_image(service: Any) -> None:
    """They are listed in Render's Blueprint reference. `branch` and other fields of a build have no effect."""
    assert set(service) <= {"type", "name", "runtime", "image", "plan", "region", "healthCheckPath", "envVars"}
    assert set(service["image"]) <= {"url", "creds"}


def test_the_path_of_the_health_check_exists(service: Any) -> None:
    assert service["healthCheckPath"] in document(snapshot_of(make_model(BTC)))["paths"]


def test_the_image_is_the_one_that_a_release_publishes(service: Any) -> None:
    """The placeholder OWNER is not a valid name in a registry, so it cannot be somebody else's image."""
    url = service["image"]["url"]
    assert url == "ghcr.io/OWNER/crypto-predict:latest"
    form = r"[a-z0-9.]+(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]*"
    assert not re.fullmatch(form, url)
    assert re.fullmatch(form, url.replace("OWNER", "some-body"))
