"""The commands of a release as a workflow meets them: help, outputs, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.release.__main__ import BAD_ARGUMENTS, COMMANDS, DONE, FAILED, main
from crypto_predict.release.job import set_outputs, warn
from tests.support.jobs import read_outputs
from tests.support.repositories import Repository
from tests.support.serving import ROOT


def test_no_command_needs_more_than_the_standard_library() -> None:
    """A new runner has nothing else installed. The help imports every command."""
    command = [sys.executable, "-S", "-E", "-m", "crypto_predict.release", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode == DONE, shown.stderr
    assert [name for name in COMMANDS if f"\n    {name}" not in shown.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_names_its_arguments_and_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"], {})
    assert ended.value.code == DONE
    shown = capsys.readouterr().out
    _, needed, optional = COMMANDS[command]
    assert [name for name in (*needed.split(), *optional.split(), "exit codes:") if name not in shown] == []


def test_outputs_are_the_same_as_text_as_json_and_in_the_workflow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, outputs = Repository.make(tmp_path / "repository", "feat: first"), tmp_path / "outputs"
    command = ["version", "--event", "push", "--repository", str(repository.folder)]
    epoch = {"SOURCE_DATE_EPOCH": "1716034247"}
    assert main(command, {**epoch, "GITHUB_OUTPUT": str(outputs)}) == DONE
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert main([*command, "--json"], epoch) == DONE
    assert json.loads(capsys.readouterr().out) == shown == read_outputs(outputs)


def test_a_refused_argument_is_named_and_no_output_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise a later step would continue with incomplete outputs."""
    outputs = tmp_path / "outputs"
    command = ["publish", "--from", "ghcr.io/o/n:latest", "--to", "ghcr.io/o/n:0.3.1", "--replacing", "anything"]
    assert main(command, {"GITHUB_OUTPUT": str(outputs)}) == BAD_ARGUMENTS
    assert capsys.readouterr().err.startswith("publish: error: --from: 'ghcr.io/o/n:latest' is not ")
    assert not outputs.exists()


def test_a_missing_variable_or_program_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("NEEDS", "GITHUB_REPOSITORY"):
        environ = {"NEEDS": "{}", "GITHUB_REPOSITORY": "Owner/name", name: " "}
        assert main(["alert", "--event", "push"], environ) == BAD_ARGUMENTS
        assert name in capsys.readouterr().err
    command = [sys.executable, "-m", "crypto_predict.release", "version", "--event", "push"]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "git is needed and not installed" in done.stderr) == (FAILED, True)


@given(value=st.text() | st.lists(st.sampled_from(["a=b", "x<<END", "END", ""])).map("\n".join))
def test_no_value_can_inject_another_output(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commit messages are untrusted, and a runner reads the file of outputs line by line."""
    file = tmp_path_factory.mktemp("job") / "outputs"
    set_outputs({"GITHUB_OUTPUT": str(file)}, {"changes": value, "last": "one"})
    assert read_outputs(file) == {"changes": value, "last": "one"}


def test_a_warning_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Text from outside must not become a command to the runner."""
    warn({"GITHUB_ACTIONS": "true"}, "100 % gone\n::error::not me")
    assert capsys.readouterr().out == "::warning::100 %25 gone%0A::error::not me\n"
    warn({}, "on a terminal")
    assert capsys.readouterr().err == "warning: on a terminal\n"
