"""The commands of a release as a workflow meets them: their help, their outputs, their exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue
from crypto_predict.release.__main__ import BAD_ARGUMENTS, COMMANDS, DONE, main
from crypto_predict.release.job import Job
from tests.serving import ROOT

TAGS = ("tags", "--registry", "ghcr.io", "--repository", "Owner/name", "--build", "0.3.1-20240518121047")


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in an interpreter that has the standard library and nothing else, as a fresh runner has."""
    command = [sys.executable, "-S", "-E", "-m", "crypto_predict.release", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_no_command_needs_more_than_the_standard_library() -> None:
    """Without a command every one of them is loaded, to be listed."""
    shown = alone("--help")
    assert shown.returncode == DONE, shown.stderr
    assert [name for name in COMMANDS if f"\n    {name}" not in shown.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_s_help_teaches_by_example(command: str) -> None:
    shown = alone(command, "--help")
    assert shown.returncode == DONE, shown.stderr
    assert "examples:" in shown.stdout
    assert f" {command} " in shown.stdout.partition("examples:")[2]
    assert "exit codes:" in shown.stdout


def test_a_command_that_there_is_not_is_named() -> None:
    refused = alone("relase")
    assert refused.returncode == BAD_ARGUMENTS
    assert "relase" in refused.stderr


def test_outputs_are_for_a_person_a_machine_and_the_workflow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs"
    assert main(TAGS, {"GITHUB_OUTPUT": str(outputs)}) == DONE
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert main((*TAGS, "--json"), {}) == DONE
    assert json.loads(capsys.readouterr().out) == shown
    assert dict(line.split("=") for line in outputs.read_text().splitlines()) == shown


def test_a_refused_argument_is_told_and_hands_nothing_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A later step would go on with half of it."""
    outputs = tmp_path / "outputs"
    assert main((*TAGS[:-1], "yesterday"), {"GITHUB_OUTPUT": str(outputs)}) == BAD_ARGUMENTS
    assert capsys.readouterr().err.startswith("tags: error: --build: 'yesterday' is not ")
    assert not outputs.exists()


@given(value=st.text() | st.lists(st.sampled_from(["a=b", "x<<END", "END", ""])).map("\n".join))
def test_no_value_can_pose_as_another_output(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A commit's message is anybody's text, and the workflow reads this file line by line, as here."""
    file = tmp_path_factory.mktemp("job") / "outputs"
    Job({"GITHUB_OUTPUT": str(file)}).set_outputs({"changes": value, "last": "one"})
    assert read_outputs(file) == {"changes": value, "last": "one"}


def read_outputs(file: Path) -> dict[str, str]:
    """The outputs as a runner reads them: ``name=value``, or ``name<<mark`` and lines up to one that is the mark."""
    lines = file.read_bytes().decode().split("\n")[:-1]
    read = {}
    while lines:
        head = lines.pop(0)
        name, begins, mark = head.partition("<<")
        if begins and "=" not in name:
            end = lines.index(mark)
            read[name], lines = "\n".join(lines[:end]), lines[end + 1 :]
        else:
            name, _, value = head.partition("=")
            read[name] = value
    return read


def test_a_warning_is_one_line_that_the_workflow_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Its text cannot speak to the workflow itself."""
    Job({"GITHUB_ACTIONS": "true"}).warn("100 % gone\n::error::not me")
    assert capsys.readouterr().out == "::warning::100 %25 gone%0A::error::not me\n"
    Job({}).warn("on a terminal")
    assert capsys.readouterr().err == "warning: on a terminal\n"


def test_what_is_needed_from_the_environment_is_asked_for_by_name() -> None:
    with pytest.raises(InvalidValue, match="GITHUB_TOKEN"):
        Job({"GITHUB_TOKEN": ""}).required("GITHUB_TOKEN", "to ask GitHub")
