"""From the words of a command line to the command that they name, and from what it raises to one message.

Exit status: 0 every trial is ok (or skipped with a reason), 1 some failed, 2 wrong command, suite or input: nothing
ran, or nothing could be measured.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from bench.errors import DataWarning, GenbenchError, RunStopped, check_system, said
from bench.interrupts import answer_interrupt
from bench.registry import CommandEntry, registry

OK, SOME_FAILED, WRONG = 0, 1, 2
PROGRAM = "genbench"
COMPLETION = f"_{PROGRAM.upper()}_COMPLETE"  # set by the shell that asks how a line goes on


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line, to its exit."""
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; errors meant for the user are printed in one message."""
    try:
        check_system()
        with _remarks_on_stderr():
            return _call([*arguments])
    except RunStopped as error:
        return _complain(error, SOME_FAILED)
    except GenbenchError as error:
        return _complain(error, WRONG)
    except typer.TyperException as error:  # words that the command does not take
        return _complain(GenbenchError(error.format_message()), WRONG, getattr(error, "ctx", None))
    except typer.Exit as end:  # what was asked for is printed, such as help
        return end.exit_code
    except typer.Abort:
        return _complain(GenbenchError("aborted"), SOME_FAILED)
    except BrokenPipeError:  # `genbench list | head` closed the other end
        sys.stderr.close()
        return OK
    except KeyboardInterrupt:
        return answer_interrupt()


def _call(words: list[str]) -> int:
    """Hand the words to the command that the first one names; for one of ours no other package is imported."""
    if words and not words[0].startswith("-"):
        named: CommandEntry = registry.get("commands", words[0])
        words[0] = named.name
        group = _group([_command(named)])
    else:
        group = _group_of_all()
    if COMPLETION in os.environ:
        group.main(words, prog_name=PROGRAM)  # to its exit
    with group.make_context(PROGRAM, words) as context:
        status = group.invoke(context)
    return status if isinstance(status, int) else OK


def _group_of_all() -> TyperGroup:
    """All commands; what cannot be one is named below the help of the others."""
    commands, problems = [], []
    for entry in registry.all("commands").values():
        try:
            commands.append(_command(entry))
        except GenbenchError as error:
            problems.append(str(error))
    problems += [f"plugin {name!r} could not be imported: {why}" for name, why in registry.failures.items()]
    group = _group(commands)
    group.epilog = "\n".join(["\b", *problems]) if problems else None  # \b: not to be wrapped
    return group


def _group(commands: Iterable[Any]) -> TyperGroup:
    """``genbench`` itself. No markup and no boxes: what it says can be searched for as it stands in the source."""
    app = typer.Typer(
        help="Train or load generative models, measure them, and render the comparison.",
        callback=_itself,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
        rich_markup_mode=None,
    )
    group = get_command(app)
    assert isinstance(group, TyperGroup)  # for it has a callback
    for command in commands:
        group.add_command(command)
    return group


def _tell_version(asked: bool) -> None:
    """Print it and end. Raises GenbenchError where no package was installed that could tell it."""
    if not asked:
        return
    try:
        print(PROGRAM, importlib.metadata.version(PROGRAM))
    except importlib.metadata.PackageNotFoundError as error:
        raise GenbenchError("no version is known: this is a folder of source that was never installed") from error
    raise typer.Exit


def _itself(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version.")
    ] = False,
) -> None:
    """What ``genbench`` takes before a command."""


def _command(entry: CommandEntry) -> Any:
    """Raises GenbenchError where a signature is none that Typer reads."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(entry.name, cls=_Command)(entry.call)
    try:
        return get_command(app)
    except Exception as error:
        why = f"its signature is none of a command: {said(error)}"
        raise GenbenchError(f"command {entry.name!r} of {entry.origin}: {why}") from error


class _Command(TyperCommand):
    """Long options may be cut short, ``--metric``, where no other one begins so."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = [name for option in self.get_params(ctx) for name in option.opts]
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*(_whole(word, known) for word in args[:end]), *args[end:]])


def _whole(word: str, known: Sequence[str]) -> str:
    name, equals, value = word.partition("=")
    meant = [option for option in known if option.startswith(name)]
    return f"{meant[0]}{equals}{value}" if name.startswith("--") and len(meant) == 1 else word


def _complain(error: GenbenchError, status: int, usage_of: Any = None) -> int:
    for line in str(error).splitlines():
        print(f"{PROGRAM}: error: {line}", file=sys.stderr)
    if usage_of:
        usage = usage_of.get_usage().removeprefix("Usage: ")
        print(f"usage: {usage}; {usage_of.command_path} --help says more", file=sys.stderr)
    return status


class _Remark(logging.Formatter):
    """One line; that something is a warning stands before it."""

    def format(self, record: logging.LogRecord) -> str:
        kind = "warning: " if record.levelno >= logging.WARNING else ""
        return f"{PROGRAM}: {kind}{record.getMessage()}"


@contextlib.contextmanager
def _remarks_on_stderr() -> Iterator[None]:
    """What is said of data, of records and of the cache, each in one line; other warnings as Python shows them.

    How far it is where something takes long (INFO) is said here alone.
    """
    speaker, log = logging.StreamHandler(sys.stderr), logging.getLogger("genbench")
    speaker.setFormatter(_Remark())
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        log.addHandler(speaker)
        stack.callback(log.removeHandler, speaker)
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.INFO)
        warnings.simplefilter("always", DataWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, DataWarning):
                print(f"genbench: warning: {message}", file=sys.stderr)
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show
        yield
