"""An endpoint as one value: its address, what answers it, and its part of the OpenAPI document."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from crypto_predict.errors import InvalidValue
from crypto_predict.web.http import problems
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.queries import MOMENT_EXPECTED
from crypto_predict.web.http.response import JSON, Rendered, render
from crypto_predict.web.http.schemas import TEXT, Parameter, ref

S = TypeVar("S")  # a sample: what examples are made of


class Failure(NamedTuple):
    """The response to an error, as a component of the document."""

    name: str
    description: str
    problem: Problem

    def component(self) -> dict[str, Any]:
        """Return the response, with the problem as its example."""
        example = json.loads(self.problem.rendered().body)
        content = {problems.CONTENT_TYPE: {"schema": ref("schemas", "Problem"), "example": example}}
        return {"description": self.description, "content": content}


BAD_PARAMETER = Failure(
    "BadParameter",
    "A parameter is missing, repeated, unknown or malformed; `parameter` names it.",
    problems.of_error(InvalidValue("date", "yesterday", MOMENT_EXPECTED)),
)
PRECONDITION_FAILED = Failure(
    "PreconditionFailed", "The condition of the request does not hold.", problems.PRECONDITION_FAILED
)
NOT_MODIFIED = "NotModified"  # the component of the response 304


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[S]):
    """An endpoint. Its part of the document is made of a sample, for which every example is a request that succeeds."""

    rule: str  # of Flask: /candles/<path:pair>
    answer: Callable[..., Rendered]  # its arguments depend on the folder: see `web.app`
    text: str  # the docstring of its module: the first line is the summary, the rest the description
    tag: str
    schemas: Mapping[str, Any]  # components by name, as schemas or types; the first one describes the answer
    examples: Callable[[S], Sequence[Any]]  # an answer in each content type; the first one has that schema
    parameters: Callable[[S], Sequence[Parameter]] = lambda _: ()
    headers: Callable[[Rendered], Mapping[str, Any]] = lambda _: {}  # that are documented, of the first example
    failures: Callable[[S], Sequence[Failure]] = lambda _: ()
    validated: bool = True  # whether its parameters are checked, and its answers have validators
    place: int = 100  # among those with its tag
    method: str = "GET"
    name: str = ""  # the operation's identifier; by default it follows from the path
    successes: Mapping[str, str] = field(default_factory=lambda: {"200": "The answer."})  # meaning by status
    more: Callable[[S], Mapping[str, Any]] = lambda _: {}  # further members
    is_file: bool = False  # whether it is also at the path with .csv; where a path ends with the pair, that takes it
    body_bytes: int = 0  # a body that a request may have is shorter

    @property
    def path(self) -> str:
        """The address in the notation of OpenAPI and the metrics: ``/candles/{pair}``."""
        return template(self.rule)

    def responses(self, sample: S) -> list[Failure]:
        """Return the responses that are not successes."""
        usual = (BAD_PARAMETER, PRECONDITION_FAILED) if self.validated else ()
        return [*usual, *self.failures(sample)]

    def described(self, sample: S) -> dict[str, Any]:
        """Return the operation as the document has it."""
        summary, _, description = self.text.partition("\n")
        examples = [example if isinstance(example, Rendered) else render(example) for example in self.examples(sample)]
        content = {}
        for place, example in enumerate(examples):
            kind, schema = dict(example.headers)["Content-Type"], ref("schemas", next(iter(self.schemas)))
            value = json.loads(example.body) if kind == JSON else example.body.decode()
            content[kind] = {"schema": TEXT if place else schema, "example": value}
        answer: dict[str, Any] = {"content": content}
        parameters = list(self.parameters(sample))
        if self.method == "GET":
            answer["headers"] = self.headers(examples[0])
        unchanged = {"304": ref("responses", NOT_MODIFIED)} if self.validated else {}
        failed = {str(failure.problem.status): ref("responses", failure.name) for failure in self.responses(sample)}
        return {
            "operationId": self.name or "-".join(part for part in self.path.split("/") if part not in {"", "{pair}"}),
            "tags": [self.tag],
            "summary": summary.removesuffix("."),
            "description": description.removeprefix("\n"),
            **({"parameters": parameters} if parameters or self.method == "GET" else {}),
            "responses": {
                **{status: {"description": meaning} | answer for status, meaning in self.successes.items()},
                **unchanged,
                **failed,
            },
            **self.more(sample),
        }


def operations_of(package: ModuleType) -> list[Operation[Any]]:
    """Return the operations that the modules of a package define."""
    modules = [import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__)]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Operation)]


def template(rule: str) -> str:
    """Return a route in the notation of OpenAPI and the metrics: ``/forecast/{pair}``."""
    return rule.replace("<path:", "{").replace("<", "{").replace(">", "}")
