"""The static export: the files of the server, in a folder that any server of files can serve, replaced as a whole."""

import html
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from werkzeug.test import Client

from crypto_predict.baked import store
from crypto_predict.baked.ledger import Outcome, Release
from crypto_predict.market import DAY
from crypto_predict.web import export
from crypto_predict.web.app import Service, create_app, now
from tests.support.disks import full, small_disk
from tests.support.feeds import entries, faults, links, parse
from tests.support.ledgers import START, make_ledger, make_outcome, make_release
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import KEPT, ROOT, SETTINGS, START_SECONDS
from tests.support.static_sites import served

LIVE, HERE, SOURCE = "https://live.example.org/", "https://pages.example.org/crypto/", "https://example.org/source"
MODEL = make_model(BTC, ETH)
CONTENTS: list[Release | Outcome] = [
    *(make_release(START + n * DAY) for n in range(3)),
    make_outcome(),
    *(make_release(START + n * DAY, ETH) for n in range(3, 60)),
]
# Written for servers of files, or different by nature: a policy in the page, and the address of the live site.
OWN = {"404.html", "robots.txt", ".nojekyll", export.MARKER}
ANSWERS = {"models.json": "models"}  # of the API, which no page loads, and their addresses at the server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model and its ledger."""
    store.save(MODEL, tmp_path / "model.pkl")
    (tmp_path / "model.ledger.jsonl").write_bytes(make_ledger(*CONTENTS))
    return tmp_path


def run(folder: Path, *arguments: str, model: Path | None = None, **environ: str) -> int:
    """Export the model of a folder to its sub-folder `site`; return the exit code."""
    options = ["--model", str(model or folder / "model.pkl"), *arguments]
    try:
        return export.main([str(folder / "site"), *options], environ)
    except SystemExit as end:
        return int(str(end.code))


def files(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def around(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"model.pkl", "model.ledger.jsonl"}


def addresses(page: str) -> list[str]:
    return [html.unescape(address) for address in re.findall(r'\s(?:href|src)="([^"]*)"', page)]


def crawl(start: str) -> dict[str, int]:
    """Return every address of the same server that can be reached from one, with the status of its answer.

    Of a page, the documents that its scripts load are reached as well.
    """
    result: dict[str, int] = {}
    waiting = [start]
    with requests.Session() as session:
        while waiting:
            address = waiting.pop().partition("#")[0]
            if address in result or urlsplit(address).netloc != urlsplit(start).netloc:
                continue
            answer = session.get(address, timeout=30)
            result[address] = answer.status_code
            kind = answer.headers["Content-Type"].partition(";")[0]
            if kind == "text/html":
                waiting += [urljoin(address, named) for named in addresses(answer.text)]
                for root, slug in re.findall(r'<body[^>]* data-root="([^"]*)"[^>]* data-slug="([^"]+)"', answer.text):
                    pair = urljoin(address, f"{root}page/{slug}")
                    waiting += [f"{pair}.json", f"{pair}/record.json", f"{pair}/releases.json"]
            elif address.endswith(".xml"):
                document = parse(answer.content)
                named = [*links(document).values(), *(links(entry)["alternate"] for entry in entries(answer.content))]
                waiting += [urljoin(address, link) for link in named]
            elif address.endswith("/releases.json"):
                waiting += [urljoin(address, f"releases/{day}.json") for day in answer.json()["days"]]
            elif "models" in (members := answer.json() if address.endswith(".json") else {}):
                folder = address.removesuffix(".json")
                waiting += [f"{folder}/models/{model}.json" for model in members["models"]]
                waiting += [f"{folder}/hindcasts/{model}.json" for model in members["hindcasts"]]
    return result


def test_in_a_sub_folder_of_any_server_every_address_that_is_named_answers(folder: Path) -> None:
    """From the first page every file is reached but those for robots and lost readers, and the licenses."""
    assert run(folder) == 0
    with served(folder) as address:
        root = f"{address}site/"
        result = crawl(root)
        assert [address for address, status in result.items() if status != 200] == []
        reached = {urlsplit(address).path.removeprefix("/site/") for address in result}
        reached = {f"{address}index.html" if address.endswith("/") or not address else address for address in reached}
        assert reached <= files(folder / "site").keys()
        left = files(folder / "site").keys() - OWN - ANSWERS.keys() - reached
        assert [name for name in left if not name.startswith("page/built/licenses-")] == []
        assert crawl(f"{root}404.html").keys() - {f"{root}404.html"} <= result.keys()


def test_no_link_leads_out_of_the_folder(folder: Path) -> None:
    """But to the project, and to the library that asks for a link."""
    assert run(folder, "--repository-url", SOURCE) == 0
    pages = [content.decode() for name, content in files(folder / "site").items() if name.endswith(".html")]
    absolute = {address for page in pages for address in addresses(page) if re.match("[a-z]+:|/", address)}
    assert absolute == {SOURCE, "https://www.tradingview.com/"}


def test_the_files_are_those_of_the_server_byte_for_byte(folder: Path) -> None:
    """Pages differ: a static one holds its policy itself."""
    assert run(folder) == 0
    settings = replace(SETTINGS, model=folder / "model.pkl")
    client = Client(create_app(Service(MODEL, settings, now, threading.Event()), None))
    exported = files(folder / "site")
    assert len(exported) > 70
    for name, content in exported.items():
        if name not in OWN:
            answer = client.get(f"/{ANSWERS.get(name, name.removesuffix('index.html'))}")
            assert answer.status_code == 200
            assert name.endswith(".html") or answer.data == content


def test_a_page_of_the_export_has_its_policy_and_knows_the_live_site(folder: Path) -> None:
    """Before any script: only the live site may be asked beside the folder itself."""
    assert run(folder, "--site", LIVE.rstrip("/")) == 0
    for name in ("index.html", "page/ETH-USD/index.html"):
        head, _, body = (folder / "site" / name).read_text(encoding="utf-8").partition("<body")
        (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', head)
        assert f"connect-src &#39;self&#39; {LIVE};" in policy
        assert "frame-ancestors" not in policy
        assert head.index("Content-Security-Policy") < head.find("<script") % len(head)
        assert f'data-site="{LIVE}"' in body
        assert 'data-live="false"' in body
        assert f"{LIVE}docs" in addresses(body)


def test_links_of_the_feed_are_absolute_where_its_address_is_known(folder: Path) -> None:
    assert run(folder, "--export-url", HERE) == 0
    site = folder / "site"
    for name in ("feed.xml", "feed/2024-05.xml", "feed/2024-07.xml"):
        assert faults((site / name).read_bytes(), HERE + name) == []
        assert links(parse((site / name).read_bytes()))["self"] == HERE + name
    assert f'href="{HERE}page/BTC-USD/"' in (site / "404.html").read_text(encoding="utf-8")


def test_an_export_is_replaced_as_a_whole(folder: Path) -> None:
    """A file of an earlier one does not stay, and nothing is left beside the folder."""
    assert run(folder) == 0
    before = files(folder / "site")
    (folder / "site" / "page" / "old.json").write_text("{}")
    assert run(folder) == 0
    assert files(folder / "site") == before
    assert around(folder) == {"site"}


def test_an_empty_folder_and_a_link_to_one_are_filled(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "site").symlink_to("there")
    assert run(folder) == 0
    assert (folder / "site").is_symlink()
    assert (folder / "there" / "index.html").exists()


@pytest.mark.parametrize("name", ["site", "site/index.html"])
def test_what_no_export_has_made_is_never_touched(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A file in place of the folder, and a folder with other files."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    assert run(folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("crypto_predict.web.export: error: FOLDER: ")
    assert "a folder that an export made, an empty one, or a new name; nothing is written" in line
    assert (folder / name).read_text() == "mine"
    assert [path for path in folder.rglob("site/**/*") if path != folder / name] == []
    assert around(folder) == {"site"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "missing argument 'FOLDER'"),
        (["a", "b"], "unexpected argument 'b'; `python -m crypto_predict.web.export --help` lists the options"),
        ([""], "FOLDER: '' is not the path of a file"),
        (["no/such/folder"], "in a folder that exists; make "),
        (["a", "--modle", "b"], "no such option `--modle`; did you mean `--model`?"),
        (["a", "--site", "example.org"], "--site: 'example.org' is not an address such as https://example.org/project"),
        (["a", "--site", "https://a.b/#c"], "--site: 'https://a.b/#c' is not the address of a site"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as end:
        export.main(arguments, {})
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_model_that_cannot_be_used_ends_with_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.pkl").write_bytes(b"no")
    assert run(folder) == 3
    assert "no usable model in" in capsys.readouterr().err
    assert around(folder) == set()


def test_without_a_ledger_everything_but_past_releases_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "model.ledger.jsonl").unlink()
    assert run(folder) == 0
    assert "no past releases: no usable ledger in" in capsys.readouterr().out
    exported = files(folder / "site")
    assert json.loads(exported["page/BTC-USD/releases.json"])["days"] == []
    assert entries(exported["feed.xml"]) == []
    with served(folder) as address:
        assert set(crawl(f"{address}site/").values()) == {200}


@pytest.mark.parametrize("data", [None, b"", make_ledger(*CONTENTS)[:-5]])
def test_a_ledger_that_was_named_must_be_usable(folder: Path, data: bytes | None) -> None:
    """A workflow that names it must not publish a page without the record."""
    assert run(folder) == 0
    before = files(folder / "site")
    ledger = folder / "model.ledger.jsonl"
    ledger.unlink()
    if data is not None:
        ledger.write_bytes(data)
    assert run(folder, "--ledger", str(ledger)) == 4
    assert files(folder / "site") == before


def test_the_report_is_also_available_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    exported = files(folder / "site")
    assert (told["files"], told["size_bytes"]) == (len(exported), sum(map(len, exported.values())))
    assert (told["pairs"], told["releases"], told["simulated"]) == (["BTC/USD", "ETH/USD"], 60, False)
    assert (told["build"], told["note"]) == (MODEL.card.build, None)


def test_simulated_prices_are_called_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.save(make_model(simulated=True), folder / "model.pkl")
    assert run(folder) == 0
    assert "THE PRICES ARE SIMULATED" in capsys.readouterr().out
    assert "simulated" in (folder / "site" / "index.html").read_text(encoding="utf-8")
    assert json.loads((folder / "site" / "page/BTC-USD/releases.json").read_text())["days"] == []


def test_a_disk_that_becomes_full_leaves_the_old_export(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(folder / "disk", 2) as disk:
        assert run(disk, model=folder / "model.pkl") == 0
        before = files(disk / "site")
        with full(disk):
            assert run(disk, model=folder / "model.pkl") == 1
        assert files(disk / "site") == before
        assert {path.name for path in disk.iterdir()} == {"site"}
    assert "is not written: [Errno 28] No space left on device" in capsys.readouterr().err


def test_a_folder_that_is_mounted_cannot_be_replaced_but_one_inside_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a volume of a container is."""
    with small_disk(folder / "site", 2):
        assert run(folder) == 2
        assert f"name one inside it: {folder / 'site' / 'site'}" in capsys.readouterr().err


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a ledger of so many releases that an export takes a while, and an earlier export."""
    folder = tmp_path_factory.mktemp("large")
    store.save(MODEL, folder / "model.pkl")
    releases: list[Release | Outcome] = [make_release(START + n * DAY) for n in range(2_000)]
    (folder / "model.ledger.jsonl").write_bytes(make_ledger(*releases))
    (folder / "small.jsonl").write_bytes(make_ledger(*CONTENTS))
    assert run(folder, "--ledger", str(folder / "small.jsonl")) == 0
    return folder


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """An export that has begun to write."""
    command = [sys.executable, "-m", "crypto_predict.web.export", str(folder / "site")]
    # Without coverage: an interrupt while it has its lock would leave it locked, and the process would wait for ever.
    environ = {name: os.environ[name] for name in KEPT if name in os.environ and not name.startswith("COVERAGE")}
    with subprocess.Popen(
        [*command, "--model", str(folder / "model.pkl")], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not list(folder.glob(".site.*.tmp/page/BTC-USD/releases/*")) and time.monotonic() < deadline:
                assert process.poll() is None
                time.sleep(0.001)
            yield process
        finally:
            process.kill()


def test_an_interrupted_export_leaves_the_old_one(large: Path) -> None:
    """And says so."""
    before = files(large / "site")
    with started(large) as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "crypto_predict.web.export: interrupted; the folder is as it was"
    assert files(large / "site") == before
    assert around(large) == {"site", "small.jsonl"}


def test_a_killed_export_leaves_the_old_one_and_the_next_one_tidies_up(large: Path) -> None:
    before = files(large / "site")
    with started(large) as process:
        process.kill()
        process.communicate(timeout=START_SECONDS)
    assert files(large / "site") == before
    assert any(name.endswith(".tmp") for name in around(large))
    assert run(large, "--ledger", str(large / "small.jsonl")) == 0
    assert files(large / "site") == before
    assert around(large) == {"site", "small.jsonl"}


def test_two_exports_at_once_do_not_write_the_same_folder(large: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started(large) as process:
        assert run(large) == 2
        process.kill()
        process.communicate(timeout=START_SECONDS)
    assert "writes it; wait until that process ends, or name another file" in capsys.readouterr().err
