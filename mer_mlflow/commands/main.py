"""main: the console script ``mer``, also used by the entries of MLproject."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from mer_mlflow import __version__
from mer_mlflow.commands.catalogue import COMMANDS, Command
from mer_mlflow.commands.command import OK, name_refused, run_command
from mer_mlflow.commands.parameters import hyperparameter_options, requested_method
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments import Parameter, Role
from mer_mlflow.experiments.text import unknown
from mer_mlflow.terminal import console

HELP = ("-h", "--help")
COMPLETION = "--print-completion"
SHELLS = ("bash", "zsh", "tcsh")
METAVARS = {str: "TEXT", int: "INTEGER", float: "NUMBER", dict: "NAME=VALUE;..."}
GROUPS = {Role.REQUEST: "Experiment", Role.EXECUTION: "Execution"}


def main() -> None:
    """Run the command of the command line, and exit with its code."""
    run(sys.argv[1:])


def run(arguments: Sequence[str]) -> None:
    """Run a command and exit with its code.

    Parameters
    ----------
    arguments : name of the command and its parameters
    """
    run_command(lambda: dispatch(arguments))


def dispatch(arguments: Sequence[str]) -> int:
    """Run a command, or print help, the version or a script for shell completion.

    Parameters
    ----------
    arguments : name of the command and its parameters

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If there is no such command, or it fails.
    """
    name, given = next(iter(arguments), HELP[0]), list(arguments[1:])
    if name in HELP:
        _print_help(_whole_parser())
        return OK
    if name == "--version":
        print(f"mer_mlflow {__version__}")
        return OK
    if name.partition("=")[0] == COMPLETION:
        print(completion(name.partition("=")[2] or next(iter(given), "")))
        return OK
    if name not in COMMANDS:
        raise ParameterError(f"{name}: {unknown(name, COMMANDS, what='command')}")
    command = COMMANDS[name]
    if any(argument in HELP for argument in given):
        others = [argument for argument in given if argument not in HELP]
        _print_help(_parser(command, method=requested_method(command.parameters, others)))
        return OK
    try:
        code: int = import_module(command.module).main(given)
    except ParameterError:
        name_refused(command.name)
        raise
    return code


def completion(shell: str) -> str:
    """Return a script for shell completion.

    Raises
    ------
    ParameterError
        If the shell is unknown.
    """
    import shtab

    if shell not in SHELLS:
        raise ParameterError(f"{COMPLETION}={shell}: must be one of {', '.join(SHELLS)}")
    text: str = shtab.complete(_whole_parser(), shell)
    return text


def _print_help(parser: argparse.ArgumentParser) -> None:
    parser.print_help(console().file)  # colours need control characters


def _whole_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mer",
        description="Music Emotion Recognition methodologies compared under one fair protocol.",
        epilog="`mer COMMAND --help` lists the parameters of a command.",
        formatter_class=_formatter(),
        add_help=False,
    )
    parser.add_argument(*HELP, action="store_true", help="print help")
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument(COMPLETION, choices=SHELLS, help="print completions for a shell")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="mer")
    for command in COMMANDS.values():
        own = commands.add_parser(
            command.name, help=command.summary, formatter_class=parser.formatter_class
        )
        _add_parameters(own, command.parameters)
    return parser


def _parser(command: Command, *, method: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"mer {command.name}",
        usage=f"mer {command.name}{_bare(command)} [--name=value ...]",
        description=command.summary,
        formatter_class=_formatter(),
    )
    _add_parameters(parser, command.parameters)
    if command.takes_hyperparameters:
        own = parser.add_argument_group(f"Hyperparameters of {method}")
        for parameter in hyperparameter_options(method):
            _add(own, parameter)
    return parser


def _bare(command: Command) -> str:
    return f" {command.bare.upper()} ..." if command.bare else ""


def _formatter() -> type[argparse.HelpFormatter]:
    from rich_argparse import RichHelpFormatter

    RichHelpFormatter.group_name_formatter = str  # do not change the case of names
    return RichHelpFormatter


def _add_parameters(parser: argparse.ArgumentParser, parameters: Sequence[Parameter]) -> None:
    roles = {parameter.role for parameter in parameters}
    groups = {
        role: parser.add_argument_group(GROUPS[role] if len(roles) > 1 else "Parameters")
        for role in GROUPS
        if role in roles
    }
    for parameter in parameters:
        _add(groups[parameter.role], parameter)


def _add(group: argparse._ActionsContainer, parameter: Parameter) -> None:
    choices = ("true", "false") if parameter.kind is bool else parameter.limits.choices
    if parameter.limits.prefix:
        choices = ()
    default = "" if parameter.default is None else f" (default: {_typed(parameter.default)})"
    group.add_argument(
        f"--{parameter.name}",
        choices=choices or None,
        metavar=None if choices else METAVARS[parameter.kind],
        help=f"{parameter.help}{default}".replace("%", "%%"),
    )


def _typed(default: str | int | float) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
