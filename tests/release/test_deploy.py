"""Deploys to a small Render on loopback, which really starts the servers."""

import logging
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from crypto_predict.baked import store
from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release import __main__
from crypto_predict.release.deploy import LONGEST_PAUSE, PAUSES, SECRET, Service, deploy_or_roll_back
from crypto_predict.release.programs import MOST_BYTES, fetch
from tests.support.live import until
from tests.support.models import TRAINED_AT, make_model
from tests.support.render import BELOW, KEY, Launcher, Render, SkippedTime, kept, processes
from tests.support.replay.server import Fault, Handler, answer, drip_headers, stall

IMAGES = [f"ghcr.io/o/crypto-predict@sha256:{digit * 64}" for digit in "1234"]
OLD, NEW, BROKEN, OTHER = IMAGES
OLD_BUILD, NEW_BUILD, OTHER_BUILD = (f"0.3.1-202405181{hour}1047" for hour in "028")
WAKING = "<html><body>Service waking up</body></html>"
RENDERS, QUICK = 900.0, 60.0  # seconds of patience


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model in each image. The broken one is truncated, so its server never starts."""
    folder = tmp_path_factory.mktemp("models")
    paths = {image: folder / f"{number}.pkl" for number, image in enumerate(IMAGES)}
    for image, hours in ((OLD, -2), (NEW, 0), (OTHER, 6)):
        store.save(make_model(trained_at=TRAINED_AT + timedelta(hours=hours)), paths[image])
    paths[BROKEN].write_bytes(paths[NEW].read_bytes()[:-9])
    return paths


@pytest.fixture(scope="module")
def launch(models: dict[str, Path]) -> Iterator[Launcher]:
    """Start the server of each image once for all tests: they do not change it."""
    with kept(processes(models)) as launch:
        yield launch


@pytest.fixture
def render(launch: Launcher) -> Iterator[Render]:
    """A Render on which the old image is live."""
    with Render(launch) as render:
        render.run(OLD)
        yield render


class Trial:
    """A deploy as in a job, with a clock that skips waiting."""

    def __init__(self, render: Render, folder: Path) -> None:
        self.render, self.time, self.patience = render, SkippedTime(render), QUICK
        self.environ = {"GITHUB_STEP_SUMMARY": str(folder / "summary.md")}

    def deploy(self, image: str = NEW, *, site: str = "", previous: str | None = OLD, hook_seconds: float = 30) -> None:
        """Replace the old build by the new one."""
        now, sleep = self.time.now, self.time.sleep
        where = (self.render.hook, site or self.render.site)
        service = Service(*where, self.patience, 5.0, hook_seconds=hook_seconds, now=now, sleep=sleep)
        assert KEY not in repr(service)
        last = (previous, OLD_BUILD) if previous else None
        deploy_or_roll_back(service, (image, NEW_BUILD), last, self.environ)

    def fails(self, image: str = NEW, **how: float | str | None) -> str:
        """Return why it failed."""
        with pytest.raises(ReleaseFailed) as caught:
            self.deploy(image, **how)  # type: ignore[arg-type]  # the words of `deploy`
        return str(caught.value)

    def images(self) -> list[str]:
        """Return the images that the hook was called with, in order."""
        return [request.query["imgURL"] for request in self.render.hook_server.requests]

    def summary(self) -> str:
        """Return the run's page."""
        return Path(self.environ["GITHUB_STEP_SUMMARY"]).read_text()


@pytest.fixture
def trial(render: Render, tmp_path: Path) -> Trial:
    return Trial(render, tmp_path)


@pytest.fixture
def idle() -> Iterator[Render]:
    """A Render that accepts every deploy and starts nothing."""
    with Render(processes({})) as render:
        yield render


def answering(site: str) -> tuple[str | None, str]:
    """Return the result of the release at a site."""
    return Service("https://api.render.com/deploy/srv-x", site, 0, 1).answering()


def test_an_image_is_live_once_its_own_build_answers(trial: Trial) -> None:
    """The hook's own answer comes earlier and proves nothing. Caches must not answer for the site.

    The site is asked every five seconds: here the switch comes with the 120th answer, within the 15 minutes.
    """
    trial.render.held, trial.patience = 120, RENDERS
    trial.deploy()
    assert answering(trial.render.site)[0] == NEW_BUILD
    assert trial.render.switched == [OLD, NEW]
    assert 595 <= trial.time.seconds <= 600
    assert {request.headers["cache-control"] for request in trial.render.site_server.requests} == {"no-cache"}
    assert f"{NEW_BUILD}`, is live" in trial.summary()


@pytest.mark.parametrize("more", ["", "&imgURL=docker.io%2Fother#top", "\n"])
def test_the_hook_gets_the_digest_once_and_keeps_its_own_query(idle: Render, more: str) -> None:
    """Render does not notice that a tag moved, and the copied address may already name an image."""
    Service(idle.hook + more, "", 0, 1).start(NEW)
    (request,) = idle.hook_server.requests
    assert (request.method, request.query) == ("POST", {"key": KEY, "imgURL": NEW})


def test_a_site_may_be_written_with_a_slash_or_a_path(render: Render) -> None:
    """A person typed it."""
    for ending in ("/", BELOW, f"{BELOW}/", "  \n"):
        assert answering(render.site + ending)[0] == OLD_BUILD


@pytest.mark.parametrize(
    ("image", "switched", "last"),
    [(BROKEN, [OLD], OLD_BUILD), (OTHER, [OLD, OTHER, OLD], OTHER_BUILD)],
    ids=["never starts", "another build"],
)
def test_an_image_that_never_starts_or_is_another_build_is_rolled_back(
    trial: Trial, image: str, switched: list[str], last: str
) -> None:
    """Otherwise it could go live later, unverified. The other build answers, but is not the one that was tested."""
    expected = f"did not answer as {NEW_BUILD} within 60 s; last: build {last}\n  rolled back to {OLD_BUILD}, which"
    assert expected in trial.fails(image)
    assert QUICK - 5 <= trial.time.seconds <= 2 * QUICK
    assert "**Rolled back**" in trial.summary()
    assert answering(trial.render.site)[0] == OLD_BUILD
    assert trial.images() == [image, OLD]
    assert trial.render.switched[: len(switched)] == switched


def test_a_rollback_that_fails_as_well_is_reported_beside_the_first_failure(trial: Trial) -> None:
    """The error has both, and what the site answers now."""
    trial.render.unhealthy = 2
    trial.render.site_server.inject(answer(502), times=500)
    failure = trial.fails()
    assert f"{NEW_BUILD} is not live" in failure
    assert f"not rolled back: {trial.render.site} did not answer as {OLD_BUILD}" in failure
    assert "answers now: status 502" in failure
    assert "**Failed**" in trial.summary()


def test_what_cannot_be_rolled_back_is_reported_with_the_last_answer(trial: Trial) -> None:
    """A site may refuse connections: a name that is not set up yet, or an instance that restarts."""
    failure = trial.fails(BROKEN, previous=None, site="http://127.0.0.1:9")
    assert "last: no answer: connection refused" in failure
    assert "not rolled back: there is no earlier release" in failure
    assert trial.images() == [BROKEN]
    assert trial.time.seconds > QUICK - 5


def test_a_sleeping_instance_may_answer_anything_while_it_wakes(trial: Trial) -> None:
    """After any answer that is not a version the release asks again."""
    for status in (502, 503, 200, 404, 429, 301):
        trial.render.site_server.inject(answer(status, WAKING, "text/html"))
    trial.deploy()
    assert len(trial.render.site_server.requests) > 6


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"build": 7}', b"[" * 60_000, b"\xff\xfe", b'\n{"build": "\\u202e\\nx"}'], ids=repr
)
def test_an_answer_that_is_not_a_version_is_recognized(idle: Render, body: bytes) -> None:

    async def odd(_: web.Request, __: Handler) -> web.Response:
        return web.Response(body=body)

    idle.site_server.inject(odd)
    build, words = answering(idle.site)
    assert build != NEW_BUILD
    assert words.isprintable()


def test_a_site_may_redirect_three_times(idle: Render) -> None:
    """From http to https, and to a custom domain; more is a loop."""
    moved = answer(301, location="/version")
    idle.site_server.inject(moved, times=3)
    idle.site_server.inject(answer(200, f'{{"build": "{OLD_BUILD}"}}'))
    assert answering(idle.site) == (OLD_BUILD, f"build {OLD_BUILD}")
    idle.site_server.inject(moved, times=4)
    assert answering(idle.site) == (None, "no answer: too many redirects")


def test_an_endless_answer_costs_neither_time_nor_memory(idle: Render) -> None:
    """Also with a curl that applies its limit only to an announced length."""
    poured: list[int] = []

    async def endless(request: web.Request, _: Handler) -> web.StreamResponse:
        response, sent = web.StreamResponse(), 0
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65_536)
                sent += 65_536
        finally:
            poured.append(sent)

    idle.site_server.inject(endless)
    assert fetch(idle.site, 2)[0] == 0
    until(lambda: bool(poured), "the answer has ended")
    assert poured[0] < 25 * MOST_BYTES  # some 750 MB without a limit


@pytest.mark.parametrize(
    ("faults", "waited", "hook_seconds"),
    [
        ([answer(500), answer(503), answer(429, retry_after="60")], PAUSES[0] + PAUSES[1] + 60, 30),
        ([stall, drip_headers], PAUSES[0] + PAUSES[1], 0.5),
    ],
    ids=["fails", "hangs"],
)
def test_a_hook_that_fails_or_hangs_is_called_again(
    trial: Trial, faults: list[Fault], waited: float, hook_seconds: float
) -> None:
    """Also if a byte arrives now and then, so that no single read exceeds a time limit."""
    for fault in faults:
        trial.render.hook_server.inject(fault)
    trial.deploy(hook_seconds=hook_seconds)
    assert trial.images() == [NEW] * (len(faults) + 1)
    assert trial.time.seconds >= waited


@pytest.mark.parametrize("wanted", ["86400", "9" * 400, "-1", "soon", "Wed, 21 Oct 2065 07:28:00 GMT"])
def test_a_hook_cannot_ask_for_a_longer_pause_than_two_minutes(idle: Render, wanted: str) -> None:
    """A Retry-After that cannot be read is ignored."""
    idle.hook_server.inject(answer(429, retry_after=wanted))
    time = SkippedTime(idle)
    Service(idle.hook, "", QUICK, 5.0, now=time.now, sleep=time.sleep).start(NEW)
    assert time.seconds == (LONGEST_PAUSE if wanted.isdigit() else PAUSES[0])


def test_a_hook_that_always_answers_500_fails_and_the_old_image_is_deployed_again(trial: Trial) -> None:
    """It may have started the image nevertheless."""
    trial.render.hook_server.inject(answer(500), times=len(PAUSES) + 1)
    failure = trial.fails()
    assert "failed 4 times, the last time: it answered 500 Internal Server Error\n  rolled back" in failure
    assert trial.images() == [*[NEW] * 4, OLD]


@pytest.mark.parametrize("status", [400, 401, 404, 307])
def test_a_hook_that_refuses_is_not_called_again(trial: Trial, status: int) -> None:
    """A wrong secret stays wrong. A redirect is not followed: the secret must not go elsewhere."""
    trial.render.hook_server.inject(answer(status, location=f"{trial.render.site}/stolen?key={KEY}"), times=2)
    failure = trial.fails()
    assert f"answered {status}" in failure
    assert ("redirects are not followed with a secret" in failure) == (status == 307)
    assert f"check {SECRET}" in failure
    assert f"answers now: build {OLD_BUILD}" in failure
    assert trial.images() == [NEW, OLD]  # once each
    assert {request.path for request in trial.render.site_server.requests} == {"/version"}


def test_the_secret_is_in_no_error_log_page_or_process_list(
    trial: Trial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not even if the server quotes it in a body or a header."""
    words, programs = tmp_path / "words", tmp_path / "programs"
    programs.mkdir()
    # A process list shows the words of every program.
    wrapper = f"#!/bin/sh\necho \"$@\" >> '{words}'\nexec '{shutil.which('curl')}' \"$@\"\n"
    (programs / "curl").write_text(wrapper)
    (programs / "curl").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    caplog.set_level(logging.DEBUG)
    request_line = f"POST {trial.render.hook} was not possible"
    quoting = answer(500, request_line, location=trial.render.hook, retry_after=KEY)
    for fault in (quoting, stall, quoting, answer(404, request_line), answer(404)):
        trial.render.hook_server.inject(fault)
    failure = trial.fails(hook_seconds=0.5)
    assert words.read_text().count("POST") == len(trial.images()) == 5
    for text in (failure, trial.summary(), caplog.text, words.read_text(), *capfd.readouterr()):
        assert KEY not in text
        assert "srv-x" not in text


@pytest.mark.parametrize(
    "address",
    [
        f"http://api.render.com/deploy/srv-x?key={KEY}",  # in the clear
        f"http://[2001:db8::1]/deploy/srv-x?key={KEY}",
        f"api.render.com/deploy/srv-x?key={KEY}",
        f"https:///deploy/srv-x?key={KEY}",
        f"https://user:{KEY}@api.render.com/deploy/srv-x",
        f"https://api.render.com/deploy/srv-x?key={KEY} and more",
        f"https://api.render.com/deploy/srv-x?key={KEY}\r\nX: y",
        f'https://api.render.com/deploy/srv-x?key={KEY}"\noutput = "x',
        f"https://api.render.com:{KEY}/deploy/srv-x",
        f"https://[{KEY}/deploy/srv-x",
    ],
)
def test_a_hook_at_an_unsafe_address_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(InvalidValue, match=SECRET) as caught:
        Service(address, "", 0, 1)
    assert KEY not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("hook", ["https://[2001:db8::1]/deploy/srv-x", f"http://[::1]:8000/deploy/srv-x?key={KEY}"])
def test_hook_and_site_may_have_an_ipv6_address(hook: str) -> None:
    """A hook in the clear is safe on this machine only."""
    assert Service(hook, "http://[::1]:8000/", 0, 1).site == "http://[::1]:8000"


WORDS = ("deploy", "--image", NEW, "--build", NEW_BUILD)
BACK = ("--previous", OLD, "--previous-build", OLD_BUILD)


def test_without_a_site_it_is_deployed_with_a_warning(trial: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an address nothing can be verified. The arguments of a first release are empty."""
    environ = {**trial.environ, SECRET: trial.render.hook, "GITHUB_ACTIONS": "true"}
    assert __main__.main([*WORDS, "--site", "", "--previous", "", "--previous-build", ""], environ) == 0
    trial.render.settle()
    assert trial.render.switched == [OLD, NEW]
    assert "::warning::" in capsys.readouterr().out
    assert "**not verified**" in trial.summary()


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--image", "ghcr.io/o/crypto-predict:latest", "--image"),
        ("--image", f"{NEW}0", "--image"),
        ("--build", "", "--image"),
        ("--previous", OLD, "--previous"),
        ("--site", "example.onrender.com", "--site"),
        ("--site", "https://example.onrender.com/a b", "--site"),
        ("--patience", "soon", "--patience"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_deployed(
    idle: Render, option: str, value: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main([*WORDS, option, value], {SECRET: idle.hook}) == 2
    assert f"deploy: error: {named}:" in capsys.readouterr().err
    assert __main__.main(WORDS, {}) == 2
    assert f"deploy: error: {SECRET}:" in capsys.readouterr().err
    assert idle.hook_server.requests == []


@pytest.mark.parametrize(("waits", "code", "last"), [(0, 0, "is live at"), (None, 1, f"rolled back to {OLD_BUILD}")])
def test_the_command_deploys_or_rolls_back_after_its_patience(
    render: Render, waits: int | None, code: int, last: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The secret has a line feed at its end, as after a careless paste."""
    render.held = waits
    patience = ("--patience", "3s" if waits is None else "60s", "--every", "1s")
    assert __main__.main([*WORDS, "--site", render.site, *BACK, *patience], {SECRET: f"{render.hook}\n"}) == code
    output, errors = capfd.readouterr()
    assert last in errors
    assert KEY not in output + errors
