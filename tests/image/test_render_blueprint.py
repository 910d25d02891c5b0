"""The Render Blueprint: what can be told without Render."""

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
    """Without a plan Render takes one that costs money."""
    assert (service["type"], service["runtime"], service["plan"]) == ("web", "image", "free")


def test_it_has_no_field_that_render_does_not_know_for_a_prebuilt_image(service: Any) -> None:
    """From Render's Blueprint reference. Fields of a build, such as `branch`, mean nothing for an image."""
    assert set(service) <= {"type", "name", "runtime", "image", "plan", "region", "healthCheckPath", "envVars"}
    assert set(service["image"]) <= {"url", "creds"}


def test_render_asks_for_readiness_at_a_path_that_exists(service: Any) -> None:
    assert service["healthCheckPath"] in document(snapshot_of(make_model(BTC)))["paths"]


def test_the_image_is_what_a_release_publishes(service: Any) -> None:
    """Until somebody puts a name in place of OWNER no registry takes it, so it cannot be somebody else's image."""
    url = service["image"]["url"]
    assert url == "ghcr.io/OWNER/crypto-predict:latest"
    form = r"[a-z0-9.]+(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]*"
    assert not re.fullmatch(form, url)
    assert re.fullmatch(form, url.replace("OWNER", "some-body"))
