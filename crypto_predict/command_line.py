"""The options and the exit codes of a command.

click parses the options from arguments and an environment that are passed in. Every option has an environment variable
of the same name (``--stale-after``: ``STALE_AFTER``); an option on the command line wins.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import click

from crypto_predict.errors import (
    BrokenLedger,
    InvalidValue,
    Refused,
    SeriesHeld,
    SourceError,
    UnusableDataset,
    UnusableHistory,
    UnusableModel,
    shown,
)
from crypto_predict.settings import masked

DONE, FAILED, BAD_ARGUMENTS, NO_HISTORY, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130
# Variables that may be given by the path of a file instead, in NAME_FILE.
SECRETS = ("ADMIN_TOKEN", "ALPACA_API_KEY", "ALPACA_SECRET_KEY", "DATABASE_URL", "PGPASSWORD")
_EXIT_CODES: Mapping[type[BaseException], int] = {
    InvalidValue: BAD_ARGUMENTS,
    UnusableHistory: NO_HISTORY,
    SourceError: NO_HISTORY,
    UnusableModel: NO_HISTORY,
    UnusableDataset: NO_HISTORY,
    Refused: REFUSED,
    BrokenLedger: REFUSED,
    SeriesHeld: BAD_ARGUMENTS,
    KeyboardInterrupt: INTERRUPTED,
}

# Line ends, other control characters, and surrogates, which stand for bytes that are not UTF-8.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 4_096  # characters; paths cannot be longer on any supported system


def exit_code(error: BaseException) -> int:
    """Return the exit code of a command that ends with `error`."""
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), FAILED)


class Option(click.Option):
    """``--name``, whose text, or that of its variable in the environment, is converted by `read`.

    The `variable` has the name of the option unless another one is given. Without a `metavar` it is a flag. With
    ``multiple=True`` it may be repeated and may hold several values with commas, whose duplicates are dropped; without
    a default it has no values then, and `read` may return a tuple of values for one word. The value of a
    `former_name_of` another option is that option's, unless that is given, too. Errors name the option or the variable.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[str], Any],
        explanation: str,
        metavar: str | None = None,
        *,
        variable: str | None = None,
        **traits: Any,
    ) -> None:
        self._read = read
        self.former_name_of: str | None = traits.pop("former_name_of", None)
        super().__init__(
            [name],
            help=explanation,
            metavar=metavar,
            is_flag=metavar is None,
            envvar=variable or name.lstrip("-").replace("-", "_").upper(),
            show_envvar=True,
            show_default="default" in traits,
            **traits,
        )

    def value_from_envvar(self, ctx: click.Context) -> str | list[str] | None:
        """Return the text of the variable in the context's `obj`; an empty one counts as unset."""
        text: str | None = ctx.obj.get(self.envvar) or None
        return [text] if text and self.multiple else text

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert the text to a value, or the texts to a tuple of values."""
        from_environment = ctx.get_parameter_source(self.name) is click.core.ParameterSource.ENVIRONMENT
        origin = f"environment variable {self.envvar}" if from_environment else self.opts[0]
        if self.multiple:
            texts = [part.strip() for text in value or () for part in self._checked(origin, text).split(",")]
            converted = [_converted(origin, text, self._read) for text in texts]
            return tuple(dict.fromkeys(chain.from_iterable(v if isinstance(v, tuple) else (v,) for v in converted)))
        return _converted(origin, self._checked(origin, value), self._read) if isinstance(value, str) else value

    def _checked(self, origin: str, text: str) -> str:
        if _one_line(origin, text).startswith("--"):
            raise InvalidValue(origin, text, f"a value; expected {self.opts[0]} {self.metavar or ''}".rstrip())
        return text


def _one_line(origin: str, text: str) -> str:
    """Return a text that is one line and not too long."""
    if _CONTROL.search(text):
        raise InvalidValue(origin, text, "one line of UTF-8 text without control characters")
    if len(text) > _LONGEST:
        raise InvalidValue(origin, text, f"a text of at most {_LONGEST:,} characters")
    return text


def _converted(origin: str, text: str, read: Callable[[str], Any]) -> Any:
    """Return the value of a text; an error names where the text is from."""
    try:
        return read(text)
    except InvalidValue as error:
        raise InvalidValue(origin, error.value, error.expected) from error


def argument(name: str, read: Callable[[str], Any]) -> click.Argument:
    """Return a required argument without an option, such as ``FOLDER``, whose text is converted by `read`."""
    return click.Argument(
        [name.lower()], metavar=name, callback=lambda _, __, text: _converted(name, _one_line(name, text), read)
    )


class CommandLine:
    """A command and its options. `prog` is what follows ``python``: ``api.py`` or ``-m crypto_predict.web.export``."""

    def __init__(self, prog: str, description: str, options: Sequence[click.Parameter], epilog: str = "") -> None:
        self._prog = prog.removeprefix("-m ")
        self._advice = f"`python {prog} --help` lists the options"
        self._command = click.Command(
            prog,
            help=description,
            params=list(options),
            epilog="\b\n" + epilog.replace("\n\n", "\n\n\b\n"),  # click keeps the lines of a paragraph after \b
            context_settings={"help_option_names": ["-h", "--help"], "allow_extra_args": True},
        )

    def parse(self, arguments: Sequence[str], environ: Mapping[str, str]) -> SimpleNamespace:
        """Return the value of every option.

        Exit with 2 after one line about a bad argument or variable; after ``--help`` with 0, or 1 if that failed.
        """
        try:
            context = self._command.make_context(self._prog, list(arguments), obj=environ)
        except click.exceptions.Exit as end:
            raise SystemExit(end.exit_code) from None
        except OSError as error:  # standard output is closed
            _abandon_output()
            click.echo(f"{self._prog}: error: cannot write the help: {error.strerror}", err=True)
            raise SystemExit(FAILED) from None
        except click.NoSuchOption as error:
            # For -pair, click reports -p.
            typed = next((word for word in arguments if word.startswith(error.option_name)), error.option_name)
            name = typed.partition("=")[0][:80]
            options = [name for option in self._command.params for name in option.opts]
            close = difflib.get_close_matches(f"--{name.lstrip('-')}", options, n=1)
            self.fail(f"no such option `{name}`; {f'did you mean `{close[0]}`?' if close else self._advice}")
        except click.UsageError as error:
            message = error.format_message()
            self.fail(message[:1].lower() + message[1:].rstrip("."))
        except InvalidValue as error:
            self.fail(str(error))
        if context.args:
            self.fail(f"unexpected argument {shown(context.args[0])}; {self._advice}")
        for option in self._command.params:
            if isinstance(option, Option) and (current := option.former_name_of):
                value = context.params.pop(str(option.name))
                if value is not None and context.get_parameter_source(current) is click.core.ParameterSource.DEFAULT:
                    context.params[current] = value
        return SimpleNamespace(**context.params)

    def named(self, arguments: Sequence[str], environ: Mapping[str, str]) -> list[str]:
        """Return the names of the options in these arguments, which `parse` accepts, not those of the environment."""
        context = self._command.make_context(self._prog, list(arguments), obj=environ)
        typed = click.core.ParameterSource.COMMANDLINE
        return [param.opts[0] for param in self._command.params if context.get_parameter_source(param.name) is typed]

    def fail(self, message: str) -> NoReturn:
        """Exit with code 2 and one line, in which passwords and keys of addresses are masked."""
        click.echo(f"{self._prog}: error: {_CONTROL.sub('?', masked(message))}", err=True)
        raise SystemExit(BAD_ARGUMENTS)


def with_secrets(program: str, environ: MutableMapping[str, str]) -> MutableMapping[str, str]:
    """Replace each ``NAME_FILE`` of `SECRETS` by NAME with the content of that file, as containers mount secrets.

    The environment itself changes: the library of PostgreSQL reads it, and later processes inherit it. Exit with 2
    after one line if a file cannot be read or is empty, or if the variable is set as well.
    """
    for name in SECRETS:
        if not (path := environ.pop(f"{name}_FILE", "")):
            continue
        try:
            with Path(path).open("rb") as file:
                text = file.read(_LONGEST + 1).decode().strip()
            sound = 0 < len(text) <= _LONGEST
            fault = "" if sound else f"{shown(path)} is empty, or longer than {_LONGEST:,} characters"
        except (OSError, ValueError) as error:
            text, fault = "", f"{shown(path)} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
        if environ.get(name):
            fault = f"{name} is set as well; set one of the two"
        if fault:
            click.echo(f"{program}: error: environment variable {name}_FILE: {fault}", err=True)
            raise SystemExit(BAD_ARGUMENTS)
        environ[name] = text
    return environ


def print_report(text: str) -> None:
    """Print a report to standard output; characters that its encoding does not have are escaped.

    Raise `OSError` if it cannot be written: the reader has closed the pipe, or the disk is full.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
    except OSError:
        _abandon_output()
        raise


def failed(program: str, message: str, error: BaseException) -> int:
    """Print a message to standard error and return the exit code of `error`."""
    click.echo(f"{program}: error: {message}", err=True)
    return exit_code(error)


def _abandon_output() -> None:
    """Redirect standard output to the null device after a failed write: the interpreter flushes it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
