"""The options of a command, by click: read once, from arguments and an environment that is passed in.

Every option has an environment variable of the same name (``--stale-after``: ``STALE_AFTER``); an option on the command
line wins.
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

from crypto_predict.errors import InvalidValue, shown
from crypto_predict.settings import boolean, masked

# Line ends and other control characters, and what is left of bytes that are not UTF-8.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 4_096  # characters; no system allows a longer path


class CommandLine:
    """The options of one command, each of which can be given as an environment variable too."""

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
        """Add ``--name``, whose text, from wherever it comes, is turned into a value by `read`."""
        self._command.params.append(_Option(self._environ, name, read, default, explanation, metavar=metavar))

    def add_list_option(
        self, name: str, read: Callable[[str], Any], default: str | None, explanation: str, metavar: str
    ) -> None:
        """Add ``--name``, which may be repeated and may hold several values between commas; duplicates are dropped.

        Without a default, and where it is not given, it has no values.
        """
        option = _Option(self._environ, name, read, default, explanation, metavar=metavar, multiple=True)
        self._command.params.append(option)

    def add_flag(self, name: str, explanation: str) -> None:
        """Add a ``--name`` that takes no value."""
        self._command.params.append(_Option(self._environ, name, boolean, None, explanation, is_flag=True))

    def parse(self, arguments: Sequence[str]) -> SimpleNamespace:
        """The value of every option.

        Raises:
            SystemExit: With 2 after one line about a bad argument or variable; after ``--help`` with 0, or with 1 where
                that could not be written.
        """
        try:
            context = self._command.make_context(self._prog, list(arguments))
        except click.exceptions.Exit as end:
            raise SystemExit(end.exit_code) from None
        except OSError as error:  # nobody reads the help
            abandon_output()
            click.echo(f"{self._prog}: error: cannot write the help: {error.strerror}", err=True)
            raise SystemExit(1) from None
        except click.NoSuchOption as error:
            # Of -pair click names the -p.
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
        """End the process with 2 and one line, without what addresses in it hold of secrets."""
        click.echo(f"{self._prog}: error: {_CONTROL.sub('?', masked(message))}", err=True)
        raise SystemExit(2)

    def _unknown(self, name: str) -> str:
        known = [name for option in self._command.params for name in option.opts]
        close = difflib.get_close_matches(f"--{name.lstrip('-')}"[:80], known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"`python {self._prog} --help` lists the options"
        return f"no such option `{name[:80]}`; {hint}"


def abandon_output() -> None:
    """Let standard output lead nowhere once writing to it has failed: the interpreter flushes once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Command(click.Command):
    """A command whose closing help text keeps its lines."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 click's signature
        """Write the text as it stands."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}")


class _Option(click.Option):
    """An option that an environment passed in can give too, and whose texts `read` turns into values.

    Raises:
        InvalidValue: A text is not what it must be; the name is that of the option or of the variable.
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
        """The variable's text; an empty one counts as unset."""
        return self._environ.get(self._variable) or None

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The value, or the tuple of values, of these texts."""
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
    """Text as it is; lists are taken apart where they are read."""

    name = "text"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """The whole text of a variable: click would take it apart at white space."""
        return (rv,)
