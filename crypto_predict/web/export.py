"""Write the page with its forecasts, its record and its feed as static files, for any server of files."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crypto_predict.prerequisites import needed, quick_imports

with needed("-m crypto_predict.web.export", "requirements-api.txt"), quick_imports():
    from werkzeug.exceptions import NotFound

    from crypto_predict.baked import files, store
    from crypto_predict.command_line import DONE, CommandLine, Option, argument, exit_code, print_report
    from crypto_predict.errors import CryptoPredictError, InvalidValue
    from crypto_predict.settings import boolean, file_path, ledger_beside, site_address, web_address
    from crypto_predict.web.model import models
    from crypto_predict.web.model.snapshots import Limits, Snapshot, planned_beside
    from crypto_predict.web.page import documents, html
    from crypto_predict.web.page.feed import ARCHIVE, NAME, feed
    from crypto_predict.web.page.html import Site
    from crypto_predict.web.page.pages import Pages
    from crypto_predict.web.page.releases import Releases
    from crypto_predict.wording import counted, listed, read_duration

PROGRAM = "-m crypto_predict.web.export"
MARKER = ".crypto-predict-export"  # in a folder that an export has made
PROGRESS_SECONDS = 2.0  # between two lines about it

_LIVE_SITE = "address of a live site that may be asked, such as https://NAME.onrender.com"
ROBOTS = b"User-agent: *\nAllow: /\n"

TEACHING = """\
examples:
  python -m crypto_predict.web.export site                          write the page of model.pkl to the folder site
  python -m http.server --directory site                            look at it at http://127.0.0.1:8000
  python -m crypto_predict.web.export site --site https://NAME.onrender.com
                                                                    questions are answered by that live site
  docker run --rm --volume "$PWD:/out" IMAGE python -m crypto_predict.web.export /out/site
                                                                    from a released image

FOLDER is replaced as a whole once everything is written. It must not exist yet, be empty, or come from an export.
Past releases come from the ledger beside the model. Without one the page says so, unless --ledger names it.

exit codes: 0 done, 1 result not written, 2 bad arguments or a folder with other files, 3 no usable model,
  4 no usable ledger, 130 interrupted
"""

COMMAND = CommandLine(
    PROGRAM,
    __doc__ or "",
    [
        argument("FOLDER", file_path),
        Option("--model", file_path, "the model file that train.py wrote", "FILE", default="model.pkl"),
        Option("--ledger", file_path, "the ledger of past releases; by default the one beside the model", "FILE"),
        Option("--site", site_address, _LIVE_SITE, "URL", variable="SITE_URL"),
        Option("--export-url", site_address, "address at which FOLDER will be found, for links of the feed", "URL"),
        Option("--repository-url", web_address, "address of the project, linked on the page", "URL"),
        Option("--stale-after", read_duration, "age from which the page says that it is stale", "TIME", default="24h"),
        Option("--retrain-every", read_duration, "without effect: a schedule is read", "TIME", hidden=True),
        Option("--json", boolean, "print what was written as JSON"),
    ],
    TEACHING,
)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Export; return the exit code."""
    options = COMMAND.parse(arguments, environ)
    site = Site(
        live=False,
        address=options.site,
        static=True,
        stale_after=options.stale_after,
        repository_url=options.repository_url,
    )
    try:
        done = export(options.folder, options.model, options.ledger, site, options.export_url)
        print_report(json.dumps(done) if options.json else _report(done))
    except InvalidValue as error:
        COMMAND.fail(str(error))
    except (CryptoPredictError, OSError) as error:
        message = f"{options.folder} is not written: {error}" if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"crypto_predict.web.export: error: {message}\n")
        return exit_code(error)
    except KeyboardInterrupt as error:
        sys.stderr.write("crypto_predict.web.export: interrupted; the folder is as it was\n")
        return exit_code(error)
    return DONE


def export(named: Path, model_file: Path, ledger: Path | None, site: Site, export_url: str | None) -> dict[str, Any]:
    """Write the static site to a folder, and return what was written; the folder is replaced as the last step.

    By default the ledger is the one beside the model. `export_url`, which ends with a slash, is the address of the
    folder. If the model or a ledger that was named cannot be used, raise `UnusableModel` or `BrokenLedger`; if the
    folder holds other files or another export writes it, `InvalidValue`; if it cannot be written, and is as it was,
    `OSError`.
    """
    folder = files.real_path(named)
    _check(folder)
    model = store.load(model_file)
    releases = Releases(model, ledger or ledger_beside(model_file))
    fault = releases.index().fault
    if ledger is not None and fault is not None:
        raise fault
    with files.locked(folder, "FOLDER"):
        for left in files.stale_temporaries(folder):
            shutil.rmtree(left)
        temporary = files.temporary_for(folder)
        try:
            limits = Limits(site.stale_after, site.stale_after)  # for headers, which files do not have
            snapshot = Snapshot.of(model, planned_beside(model_file), limits)
            count, size = _write(temporary, contents(snapshot, releases, site, export_url))
            _check(folder)
            _replace(folder, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return {
        "folder": str(named),
        "files": count,
        "size_bytes": size,
        "build": model.card.build,
        "pairs": [str(pair) for pair in model.forecasts],
        "simulated": model.card.simulated,
        "releases": sum(len(releases.listed(pair).days) for pair in model.forecasts),  # days, of all pairs together
        "note": None if fault is None else str(fault),  # why there are no past releases
    }


def contents(snapshot: Snapshot, releases: Releases, site: Site, export_url: str | None) -> Iterator[tuple[str, bytes]]:
    """Yield the path of each file in the folder and its content; those of the server are the same."""
    model, pages = snapshot.answers.model, Pages(snapshot, site, releases, lambda: datetime.now(UTC))
    for path in pages.resources:
        with contextlib.suppress(NotFound):
            yield f"{path}index.html"[1:] if path.endswith("/") else path[1:], pages.answer(path, None).body
    for pair in model.forecasts:
        yield f"page/{pair.slug}/releases.json", documents.rendered(releases.listed(pair))
        for day in reversed(releases.listed(pair).days):
            yield f"page/{pair.slug}/releases/{day}.json", documents.rendered(releases.release(pair, day))
    for month in (None, *releases.index().months):
        name = NAME if month is None else ARCHIVE.format(month)
        yield name, feed(model, releases, month, export_url, site.repository_url)
    yield "models.json", models.rendered(snapshot).body
    # At GitHub Pages this file answers at every depth, where a relative link would lead nowhere.
    yield "404.html", html.missing(None, list(model.forecasts), site, export_url or "./").encode()
    yield "robots.txt", ROBOTS
    yield ".nojekyll", b""
    yield MARKER, f"{model.card.build}\n".encode()


def _check(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier export."""
    expected = None
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if (names and MARKER not in names) or (folder.exists() and not folder.is_dir()):
        expected = "a folder that an export made, an empty one, or a new name; nothing is written"
    elif folder.is_mount():
        expected = f"a folder that can be replaced; name one inside it: {folder / 'site'}"
    elif not folder.parent.is_dir():
        expected = f"in a folder that exists; make {folder.parent} first"
    if expected is not None:
        raise InvalidValue("FOLDER", str(folder), expected)


def _write(temporary: Path, named: Iterator[tuple[str, bytes]]) -> tuple[int, int]:
    """Write the files to a new folder; return their number and their size in bytes."""
    temporary.mkdir()
    count, size, shown_at = 0, 0, time.monotonic()
    for name, content in named:
        path = temporary / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        count, size = count + 1, size + len(content)
        if time.monotonic() - shown_at > PROGRESS_SECONDS:
            sys.stderr.write(f"{counted(count, 'file')} written, {name} the last\n")
            shown_at = time.monotonic()
    return count, size


def _replace(folder: Path, temporary: Path) -> None:
    """Put a finished folder in the place of another one, or of none. After an error the old one is back."""
    if not folder.exists():
        temporary.rename(folder)
        return
    aside = files.temporary_for(folder)
    folder.rename(aside)
    try:
        temporary.rename(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.rename(folder)
        raise
    shutil.rmtree(aside)


def _report(done: dict[str, Any]) -> str:
    """Return what was written in two lines."""
    size, folder = f"{done['size_bytes'] / 1e6:.1f} MB", done["folder"]
    what = f"{counted(done['files'], 'file')}, {size}: {listed(done['pairs'])}, build {done['build']}"
    past = f"no past releases: {done['note']}" if done["note"] else counted(done["releases"], "past release")
    warning = "\nTHE PRICES ARE SIMULATED" if done["simulated"] else ""
    return f"{folder}: {what}; {past}\nlook at it: python -m http.server --directory {folder}{warning}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
