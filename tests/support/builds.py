"""The steps of an image build, from the report of the engine."""

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from tests.support import engine
from tests.support.engine import docker

_MAKES_LAYER = re.compile(r"(ADD|COPY|RUN|WORKDIR)\b")


@dataclass(frozen=True)
class Build:
    """One build of a context with these arguments."""

    tag: str
    report: str  # by the engine, about the steps
    arguments: dict[str, str]
    context: Path

    def cached(self) -> set[str]:
        """Return the instructions of the steps that were taken from the cache."""
        cached = set(re.findall(r"(?m)^#(\d+) CACHED$", self.report))
        return {step for number, _, step in self._steps() if number in cached}

    def executed(self) -> dict[str, list[int]]:
        """Return the positions of the executed steps by stage; 2 is the first instruction below FROM."""
        done = set(re.findall(r"(?m)^#(\d+) DONE ", self.report))
        result: dict[str, list[int]] = {}
        for number, place, _ in self._steps():
            stage, position = place.split()[0], int(place.split()[-1].partition("/")[0])
            if number in done and position > 1:
                result.setdefault(stage, []).append(position)
        return result

    def new_cache(self) -> int:
        """Return the bytes that the executed steps of this build added to the engine's cache.

        Each stage is built again from the cache, as an image: its layers are what the cache holds of the steps. The
        engine's own list of its cache would include other builds.
        """
        return sum(
            size
            for stage, positions in self.executed().items()
            for position, size in enumerate(self._sizes_of_steps(stage), start=2)
            if position in positions
        )

    def _steps(self) -> list[tuple[str, str, str]]:
        """Return number, place and instruction of each step: ``("7", "train 2/8", "COPY ...")``."""
        return re.findall(r"(?m)^#(\d+) \[(\w+ +\d+/\d+)\] (.*)$", self.report)

    def _sizes_of_steps(self, stage: str) -> list[int]:
        tag = f"{self.tag}-{secrets.token_hex(3)}"
        report = engine.build("--target", stage, arguments=self.arguments, context=self.context, tag=tag)
        history = docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", tag)
        engine.forget(tag)
        steps = [json.loads(line) for line in history.splitlines()]
        layers = [int(step["Size"]) for step in steps if _MAKES_LAYER.match(step["CreatedBy"])]
        own = max(int(count) for count in re.findall(rf"\[{stage} +\d+/(\d+)\]", report)) - 1
        return layers[:own][::-1]
