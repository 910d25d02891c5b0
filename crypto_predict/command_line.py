"""The options and the exit codes of a command.

click parses the options from arguments and an environment that are passed in. Every option has an environment variable
of the same name (``--stale-after``: ``STALE_AFTER``); an option on the command line wins.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

import click

from crypto_predict.errors import (
    BrokenLedger,
    InvalidValue,
    Refused,
    SourceError,
    UnusableHistory,
    UnusableModel,
    shown,
)
from crypto_predict.settings import boolean, masked

DONE, FAILED, BAD_ARGUMENTS, NO_HISTORY, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130
_EXIT_CODES: Mapping[type[BaseException], int] = {
    InvalidValue: BAD_ARGUMENTS,
    UnusableHistory: NO_HISTORY,
    SourceError: NO_HISTORY,
    UnusableModel: NO_HISTORY,
    Refused: REFUSED,
    BrokenLedger: REFUSED,
    KeyboardInterrupt: INTERRUPTED,
}

# Line ends, other control characters, and surrogates, which stand for bytes that are not UTF-8.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 4_096  # characters; paths cannot be longer on any supported system


def exit_code(error: BaseException) -> int:
    """Return the exit code of a command that ends with `error`."""
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), FAILED)


class CommandLine:
    """The options of one command. Each can also be given as an environment variable."""

    def __init__(self, environ: Mapping[str, str], prog: str, description: str, epilog: str = "") -> None:
        self._environ = environ
        self._prog = prog
        self._command = _Command(
            prog,
            help=description,
            epilog=epilog,
            context_settings={
                "help_option_names": ["-h", "--help"],
                "max_content_width": 100,
                "allow_extra_args": True,
            },
        )

    def add_option(
        self, name: str, read: Callable[[str], Any], default: str | None, explanation: str, metavar: str
    ) -> None:
        """Add ``--name``. Its text, or that of the variable, is converted by `read`."""
        self._command.params.append(_Option(self._environ, name, read, default, explanation, metavar=metavar))

    def add_list_option(
        self, name: str, read: Callable[[str], Any], default: str | None, explanation: str, metavar: str
    ) -> None:
        """Add ``--name``, which may be repeated and may hold several values with commas. Duplicates are dropped.

        Without a default, an option that is not given has no values.
        """
        option = _Option(self._environ, name, read, default, explanation, metavar=metavar, multiple=True)
        self._command.params.append(option)

    def add_flag(self, name: str, explanation: str) -> None:
        """Add a ``--name`` that takes no value."""
        self._command.params.append(_Option(self._environ, name, boolean, None, explanation, is_flag=True))

    def parse(self, arguments: Sequence[str]) -> SimpleNamespace:
        """Return the value of every option.

        Raises:
            SystemExit: With 2 after one line about a bad argument or variable; after ``--help`` with 0, or with 1 if it
                could not be written.
        """
        try:
            context = self._command.make_context(self._prog, list(arguments))
        except click.exceptions.Exit as end:
            raise SystemExit(end.exit_code) from None
        except OSError as error:  # standard output is closed
            abandon_output()
            click.echo(f"{self._prog}: error: cannot write the help: {error.strerror}", err=True)
            raise SystemExit(FAILED) from None
        except click.NoSuchOption as error:
            # For -pair, click reports -p.
            typed = next((word for word in arguments if word.startswith(error.option_name)), error.option_name)
            self.fail(self._unknown(typed.partition("=")[0]))
        except click.UsageError as error:
            self.fail(error.message[:1].lower() + error.message[1:].rstrip("."))
        except InvalidValue as error:
            self.fail(str(error))
        if context.args:
            self.fail(f"unexpected argument {shown(context.args[0])}; `python {self._prog} --help` lists the options")
        return SimpleNamespace(**context.params)

    def fail(self, message: str) -> NoReturn:
        """Exit with code 2 and one line, in which passwords and keys of addresses are masked."""
        click.echo(f"{self._prog}: error: {_CONTROL.sub('?', masked(message))}", err=True)
        raise SystemExit(BAD_ARGUMENTS)

    def _unknown(self, name: str) -> str:
        known = [name for option in self._command.params for name in option.opts]
        close = difflib.get_close_matches(f"--{name.lstrip('-')}"[:80], known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"`python {self._prog} --help` lists the options"
        return f"no such option `{name[:80]}`; {hint}"


def abandon_output() -> None:
    """Redirect standard output to the null device after a failed write: the interpreter flushes it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Command(click.Command):
    """A command whose epilog keeps its line breaks."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 click's signature
        """Write the epilog without wrapping."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}")


class _Option(click.Option):
    """An option with a variable in the environment that is passed in; `read` converts its texts.

    Raises:
        InvalidValue: A text is not valid. The error names the option or the variable.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        name: str,
        read: Callable[[str], Any],
        default: str | None,
        explanation: str,
        **traits: Any,
    ) -> None:
        self._environ = environ
        self._read = read
        self._variable = name.lstrip("-").replace("-", "_").upper()
        default_shown = f"default: {default}; " if default else ""
        if default is not None:
            traits["default"] = (default,) if traits.get("multiple") else default
        if not traits.get("is_flag"):
            traits["type"] = _Text()
        super().__init__([name], help=f"{explanation} ({default_shown}environment: {self._variable})", **traits)

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:  # noqa: ARG002 click's signature
        """Return the text of the variable; an empty one counts as unset."""
        return self._environ.get(self._variable) or None

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert the text to a value, or the texts to a tuple of values."""
        from_environment = ctx.get_parameter_source(self.name) is click.core.ParameterSource.ENVIRONMENT
        origin = f"environment variable {self._variable}" if from_environment else self.opts[0]
        if self.multiple:
            texts = [part.strip() for text in value or () for part in self._checked(origin, text).split(",")]
            return tuple(dict.fromkeys(self._value(origin, text) for text in texts))
        return self._value(origin, self._checked(origin, value)) if isinstance(value, str) else value

    def _checked(self, origin: str, text: str) -> str:
        if _CONTROL.search(text):
            raise InvalidValue(origin, text, "one line of UTF-8 text without control characters")
        if len(text) > _LONGEST:
            raise InvalidValue(origin, text, f"a text of at most {_LONGEST:,} characters")
        if text.startswith("--"):
            raise InvalidValue(origin, text, f"a value; expected {self.opts[0]} {self.metavar or ''}".rstrip())
        return text

    def _value(self, origin: str, text: str) -> Any:
        try:
            return self._read(text)
        except InvalidValue as error:
            raise InvalidValue(origin, error.value, error.expected) from error


class _Text(click.ParamType[str]):
    """Unchanged text; `_Option` splits lists."""

    name = "text"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the whole text of a variable, which click would split at white space."""
        return (rv,)
