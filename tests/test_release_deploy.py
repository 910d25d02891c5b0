"""Deploying: against a small Render on loopback, which really starts the servers it is told to."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from crypto_predict.release.clock import SkippingClock
from crypto_predict.release.hook import PAUSES, SECRET, DeployHook
from crypto_predict.release.site import Patience, Site

from crypto_predict.baked import store
from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release import __main__, deploy
from crypto_predict.release.job import Job
from tests.models import TRAINED_AT, make_model
from tests.serving import ROOT
from tests.support.render import BELOW, KEY, Hooked, Render, processes

IMAGES = [f"ghcr.io/o/crypto-predict@sha256:{digit * 64}" for digit in "123"]
OLD, NEW, BROKEN = IMAGES
OLD_BUILD, NEW_BUILD = "0.3.1-20240518061047", "0.3.1-20240518121047"
RENDERS = Patience(900.0, 5.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model in each image; the last one's is damaged, so that its server never starts."""
    folder = tmp_path_factory.mktemp("models")
    paths = {image: folder / f"{number}.pkl" for number, image in enumerate(IMAGES)}
    store.save(make_model(trained_at=TRAINED_AT - timedelta(hours=6)), paths[OLD])
    store.save(make_model(), paths[NEW])
    paths[BROKEN].write_bytes(paths[NEW].read_bytes()[:-9])
    return paths


@pytest.fixture
def render(models: dict[str, Path]) -> Iterator[Render]:
    """A Render on which the old image is live."""
    with Render(processes(models)) as render:
        render.run(OLD)
        yield render


class Rendering(SkippingClock):
    """A clock that lets Render finish what it is doing, and then the time pass at once."""

    def __init__(self, render: Render) -> None:
        super().__init__()
        self._render = render

    def sleep(self, seconds: float) -> None:
        """Wait for Render alone."""
        self._render.settle()
        super().sleep(seconds)


class Told:
    """Where a command's outputs and summary went."""

    def __init__(self, folder: Path) -> None:
        self._outputs, self._summary = folder / "outputs", folder / "summary.md"
        self.environ = {"GITHUB_OUTPUT": str(self._outputs), "GITHUB_STEP_SUMMARY": str(self._summary)}
        self.job = Job(self.environ)

    def outputs(self) -> dict[str, str]:
        """By name."""
        return dict(line.split("=", 1) for line in self._outputs.read_text().splitlines())

    def summary(self) -> str:
        """As Markdown."""
        return self._summary.read_text()


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """A job's files."""
    return Told(tmp_path)


def deployment(
    render: Render, image: str = NEW, *, site: str | None = None, previous: bool = True, hook_seconds: float = 30
) -> deploy.Deployment:
    """The new image in place of the old, as patiently as Render is."""
    return deploy.Deployment(
        hook=DeployHook.at(render.hook, hook_seconds),
        site=Site(render.site if site is None else site),
        wanted=deploy.Wanted(image, NEW_BUILD),
        previous=deploy.Wanted(OLD, OLD_BUILD) if previous else None,
        patience=RENDERS,
    )


def images_asked_for(render: Render) -> list[str]:
    """What the hook was told, in order."""
    return [asked.query["imgURL"][0] for asked in render.hooked]


def test_an_image_is_live_once_its_own_build_answers(render: Render, told: Told) -> None:
    """The hook accepts long before: what it says is no proof of anything."""
    outputs = deploy.carry_out(deployment(render), told.job, Rendering(render))
    assert outputs == {"deployed": "true", "verified": "true", "rolled_back": "false"}
    assert Site(render.site).say().build == NEW_BUILD
    assert render.switched == [OLD, NEW]
    assert NEW in told.summary()
    assert NEW_BUILD in told.summary()


def test_the_hook_is_told_the_digest_and_keeps_its_own_query(render: Render, told: Told) -> None:
    deploy.carry_out(deployment(render), told.job, Rendering(render))
    (asked,) = render.hooked
    assert (asked.method, asked.query) == ("POST", {"key": [KEY], "imgURL": [NEW]})


def test_no_cache_may_answer_for_the_site(render: Render, told: Told) -> None:
    deploy.carry_out(deployment(render), told.job, Rendering(render))
    assert {asked.headers["cache-control"] for asked in render.asked} == {"no-cache"}


@pytest.mark.parametrize("ending", ["/", BELOW, f"{BELOW}/", "  \n"])
def test_a_site_may_be_written_with_a_slash_or_a_path(render: Render, told: Told, ending: str) -> None:
    """It is a variable that a person has typed."""
    outputs = deploy.carry_out(deployment(render, site=render.site + ending), told.job, Rendering(render))
    assert outputs["verified"] == "true"


def test_ten_minutes_of_the_old_version_are_waited_for(render: Render, told: Told) -> None:
    """A question every five seconds: the switch comes with the 120th, long before the 15 minutes are over."""
    render.faults.held = 120
    clock = Rendering(render)
    outputs = deploy.carry_out(deployment(render), told.job, clock)
    assert outputs["verified"] == "true"
    assert render.switched == [OLD, NEW]
    assert 595 <= clock.now() <= 600


def test_an_old_version_that_stays_for_ever_is_told_to_stay(render: Render, told: Told) -> None:
    """Without that, the new one could still appear when nobody looks any more."""
    render.faults.held = None
    clock = Rendering(render)
    with pytest.raises(ReleaseFailed, match=f"did not answer as {NEW_BUILD} within 900 s") as caught:
        deploy.carry_out(deployment(render), told.job, clock)
    assert f"last: build {OLD_BUILD}" in str(caught.value)
    assert f"rolled back to {OLD_BUILD}, which answers again" in str(caught.value)
    assert images_asked_for(render) == [NEW, OLD]
    assert 900 <= clock.now() < 900 + RENDERS.every
    assert told.outputs() == {"deployed": "false", "verified": "false", "rolled_back": "true"}
    assert "**Rolled back**" in told.summary()


def test_an_image_that_never_becomes_healthy_is_rolled_back(render: Render, told: Told) -> None:
    with pytest.raises(ReleaseFailed, match="rolled back"):
        deploy.carry_out(deployment(render, BROKEN), told.job, Rendering(render))
    assert Site(render.site).say().build == OLD_BUILD
    assert images_asked_for(render) == [BROKEN, OLD]


def test_another_build_than_the_image_was_said_to_hold_is_replaced(models: dict[str, Path], told: Told) -> None:
    """It went live and answers well, but it is not what was tried: the old one really takes its place again."""
    store.save(make_model(trained_at=TRAINED_AT + timedelta(hours=6)), other := models[NEW].with_name("other.pkl"))
    with Render(processes({**models, NEW: other})) as careless:
        careless.run(OLD)
        with pytest.raises(ReleaseFailed, match=r"last: build 0\.3\.1-20240518181047\n  rolled back"):
            deploy.carry_out(deployment(careless), told.job, Rendering(careless))
        assert careless.switched == [OLD, NEW, OLD]
        assert Site(careless.site).say().build == OLD_BUILD


def test_a_roll_back_that_fails_as_well_is_told_beside_the_first_failure(models: dict[str, Path], told: Told) -> None:
    """Nothing was live and nothing comes up: the error says both, and what the site says."""
    with Render(processes({BROKEN: models[BROKEN]})) as render, pytest.raises(ReleaseFailed) as caught:
        deploy.carry_out(deployment(render, BROKEN), told.job, Rendering(render))
    assert f"{NEW_BUILD} is not live" in str(caught.value)
    assert f"the roll-back to {OLD_BUILD} failed as well" in str(caught.value)
    assert "says now: status 502" in str(caught.value)
    assert told.outputs()["rolled_back"] == "false"
    assert "**Failed**" in told.summary()


def test_without_an_earlier_release_there_is_nothing_to_go_back_to(render: Render, told: Told) -> None:
    with pytest.raises(ReleaseFailed, match="no earlier release to go back to"):
        deploy.carry_out(deployment(render, BROKEN, previous=False), told.job, Rendering(render))
    assert images_asked_for(render) == [BROKEN]


def test_a_sleeping_instance_may_answer_anything_while_it_wakes(render: Render, told: Told) -> None:
    """Whatever comes in place of a version is no version yet, and no reason to give up."""
    render.faults.site.extend([502, 503, 200, 404, 429, 301])
    outputs = deploy.carry_out(deployment(render), told.job, Rendering(render))
    assert outputs["verified"] == "true"
    assert len(render.asked) > 6


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"build": 7}', b"[" * 60_000, b"\xff\xfe", b'{"build": "\\u202e\\nx"}'], ids=repr
)
def test_nonsense_in_place_of_a_version_is_no_version(models: dict[str, Path], body: bytes) -> None:
    with Render(processes(models)) as render:
        render.faults.bodies.append(body)
        said = Site(render.site).say()
    assert said.build != NEW_BUILD
    assert said.words.isprintable()


def test_a_site_that_nobody_serves_is_waited_for(told: Told, render: Render) -> None:
    """A name that is not set up yet, an instance between two lives: a refused connection is one more 'not yet'."""
    with pytest.raises(ReleaseFailed, match="no answer: Connection refused"):
        deploy.carry_out(deployment(render, site="http://127.0.0.1:9"), told.job, Rendering(render))


def test_a_hook_that_is_out_of_order_is_asked_again(render: Render, told: Told) -> None:
    render.faults.hook.extend([Hooked(500), Hooked(503), Hooked(429, {"Retry-After": "60"})])
    clock = Rendering(render)
    outputs = deploy.carry_out(deployment(render), told.job, clock)
    assert outputs["verified"] == "true"
    assert len(render.hooked) == 4
    assert clock.now() >= PAUSES[0] + PAUSES[1] + 60  # as long as it wanted


def test_a_hook_that_wants_to_be_left_alone_for_a_day_is_not_obeyed(render: Render, told: Told) -> None:
    render.faults.hook.append(Hooked(429, {"Retry-After": "86400"}))
    clock = Rendering(render)
    deploy.carry_out(deployment(render), told.job, clock)
    assert clock.now() < 600


@pytest.mark.parametrize("fault", [Hooked(hangs=True), Hooked(drips=True)], ids=["hangs", "drips"])
def test_a_hook_that_hangs_is_asked_again(render: Render, told: Told, fault: Hooked) -> None:
    """Also where a byte comes now and then, so that no single read is ever too late."""
    render.faults.hook.append(fault)
    outputs = deploy.carry_out(deployment(render, hook_seconds=0.5), told.job, Rendering(render))
    assert outputs["verified"] == "true"
    assert len(render.hooked) == 2


def test_a_hook_that_answers_500_for_good_fails_and_the_old_image_is_confirmed(render: Render, told: Told) -> None:
    """It may have begun something all the same, so that the old image is asked for once more."""
    render.faults.hook.extend([Hooked(500)] * (len(PAUSES) + 1))
    with pytest.raises(ReleaseFailed, match="500 Internal Server Error, the last of 4 times\n  rolled back"):
        deploy.carry_out(deployment(render), told.job, Rendering(render))
    assert images_asked_for(render) == [*[NEW] * 4, OLD]


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_hook_that_refuses_is_not_asked_again(render: Render, told: Told, status: int) -> None:
    """A wrong secret stays wrong: the person who can mend it should not wait for a minute of attempts."""
    render.faults.hook.extend([Hooked(status)] * 2)
    with pytest.raises(ReleaseFailed, match=f"answered {status}.*check the secret {SECRET}") as caught:
        deploy.carry_out(deployment(render), told.job, Rendering(render))
    assert images_asked_for(render) == [NEW, OLD]  # once each
    assert f"says now: build {OLD_BUILD}" in str(caught.value)


def test_the_secret_is_not_carried_to_where_a_redirect_leads(render: Render, told: Told) -> None:
    render.faults.hook.extend([Hooked(307, {"Location": f"{render.site}/stolen?key={KEY}"})] * 2)
    with pytest.raises(ReleaseFailed, match="307 Temporary Redirect: it is not followed"):
        deploy.carry_out(deployment(render), told.job, Rendering(render))
    assert {asked.path for asked in render.asked} == {"/version"}


def test_nothing_that_is_told_or_logged_holds_the_secret(
    render: Render, told: Told, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even where the server quotes it: in a body, a header, or in place of an answer."""
    caplog.set_level(logging.DEBUG)
    quoting = Hooked(500, {"Location": render.hook, "Retry-After": KEY}, echoes=True)
    render.faults.hook.extend([quoting, Hooked(hangs=True), quoting, Hooked(404, echoes=True), Hooked(404)])
    wanted = deployment(render, hook_seconds=0.5)
    with pytest.raises(ReleaseFailed) as caught:
        deploy.carry_out(wanted, told.job, Rendering(render))
    printed = capsys.readouterr()
    for text in (str(caught.value), told.summary(), caplog.text, repr(wanted), printed.out, printed.err):
        assert KEY not in text
        assert "srv-x" not in text


@pytest.mark.parametrize(
    "address",
    [
        f"http://api.render.com/deploy/srv-x?key={KEY}",  # in the clear
        f"ftp://api.render.com/deploy/srv-x?key={KEY}",
        f"api.render.com/deploy/srv-x?key={KEY}",
        f"https:///deploy/srv-x?key={KEY}",
        f"https://user:{KEY}@api.render.com/deploy/srv-x",
        f"https://api.render.com/deploy/srv-x?key={KEY} and more",
        f"https://api.render.com/deploy/srv-x?key={KEY}\r\nX: y",
        f"https://api.render.com:{KEY}/deploy/srv-x",
        f"https://[{KEY}/deploy/srv-x",
    ],
)
def test_a_hook_that_is_no_safe_address_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(InvalidValue, match=SECRET) as caught:
        DeployHook.at(address)
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value)


def test_a_hook_copied_with_an_image_in_it_names_one_image(render: Render) -> None:
    hook = DeployHook.at(f"{render.hook}&imgURL=docker.io%2Fother#top")
    hook.deploy(NEW, Rendering(render))
    assert images_asked_for(render) == [NEW]
    assert render.hooked[0].query["key"] == [KEY]


WORDS = ("deploy", "--image", NEW, "--build", NEW_BUILD)
BACK = ("--previous", OLD, "--previous-build", OLD_BUILD)


def test_without_a_hook_there_is_no_live_site_and_the_run_is_green(told: Told) -> None:
    """A fork without a Render account publishes its image all the same; an unset secret reaches the job as empty."""
    assert __main__.main([*WORDS, "--site", "", *BACK], {**told.environ, SECRET: ""}) == 0
    assert told.outputs() == {"deployed": "false", "verified": "false", "rolled_back": "false"}
    assert "no live site" in told.summary()


def test_without_a_site_it_is_deployed_with_a_warning(
    render: Render, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can check an address that nobody knows; the roll-back arguments of a first release are empty."""
    environ = {**told.environ, SECRET: render.hook, "GITHUB_ACTIONS": "true"}
    assert __main__.main([*WORDS, "--site", "", "--previous", "", "--previous-build", ""], environ) == 0
    render.settle()
    assert told.outputs() == {"deployed": "true", "verified": "false", "rolled_back": "false"}
    assert render.switched == [OLD, NEW]
    assert "::warning::" in capsys.readouterr().out
    assert "**not verified**" in told.summary()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--image", "ghcr.io/o/crypto-predict:latest"), "--image"),
        (("--image", f"{NEW}0"), "--image"),
        (("--build", "a b"), "--build"),
        (("--previous", OLD), "--previous-build"),
        (("--previous-build", OLD_BUILD), "--previous"),
        (("--site", "example.onrender.com"), "--site"),
        (("--site", "https://example.onrender.com/a b"), "--site"),
        (("--patience", "soon"), "duration"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_deployed(
    told: Told, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], named: str
) -> None:
    with Render(processes({})) as render:
        assert __main__.main([*WORDS, *words], {**told.environ, SECRET: render.hook}) == 2
    assert f"deploy: error: {named}:" in capsys.readouterr().err
    assert render.hooked == []


def run_deploy(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The real command, as a process of its own."""
    command = [sys.executable, "-m", "crypto_predict.release", *WORDS, *words]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


def test_as_a_process_it_deploys_and_prints_its_outputs(render: Render) -> None:
    done = run_deploy(
        "--site", render.site, "--every", "1s", "--json", GITHUB_STEP_SUMMARY=os.devnull, **secret(render)
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"deployed": "true", "verified": "true", "rolled_back": "false"}
    assert KEY not in done.stdout + done.stderr


def test_as_a_process_it_loses_patience_and_rolls_back(render: Render) -> None:
    render.faults.held = None
    words = ("--site", render.site, *BACK, "--patience", "3s", "--every", "1s")
    done = run_deploy(*words, GITHUB_STEP_SUMMARY=os.devnull, **secret(render))
    assert done.returncode == 1
    assert f"did not answer as {NEW_BUILD} within 3 s" in done.stderr
    assert f"rolled back to {OLD_BUILD}" in done.stderr
    assert "Traceback" not in done.stderr


def secret(render: Render) -> dict[str, str]:
    """The secret as a workflow hands it over: with the line feed that a person pasted along."""
    return {SECRET: f"{render.hook}\n"}
