"""The pages about the command lines, printed from the commands themselves.

python -m docs.command_pages docs/reference
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from opslifecycle.cli.group import cli
from opslifecycle.cli.man import manual
from opslifecycle_codegen.cli.main import parser

_NOTE = "<!-- Printed by docs.command_pages; make generate writes it anew. -->\n"
_TABLE = ["| argument | meaning |", "|---|---|"]


def run_page() -> str:
    """Return the page about `opslifecycle`."""
    lines = [_NOTE, "# opslifecycle", "", *_prose(cli.help), ""]
    lines.append("Install it with `pip install 'opslifecycle[cli]'`.")
    context = click.Context(cli)
    for name, command in _commands(cli, context):
        usage = " ".join([f"opslifecycle {name}", *_usage(command)])
        lines += ["", f"## {name}", "", f"    {usage}", "", *_prose(command.help), "", *_TABLE]
        lines += [_option(each) for each in command.params if isinstance(each, click.Option)]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group, and in place of a group its own, with their whole names."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for below, each in _commands(command, context):
                yield f"{name} {below}", each
        else:
            yield name, command


def _usage(command: click.Command) -> Iterator[str]:
    if command.options_metavar:
        yield command.options_metavar
    for each in command.params:
        if isinstance(each, click.Argument) and each.metavar != "":
            yield (each.name or "").upper() + ("..." if each.nargs < 0 else "")


def _prose(text: str | None) -> Iterator[str]:
    r"""Yield a help text as Markdown: what follows `\b` keeps its lines."""
    for count, paragraph in enumerate(inspect.cleandoc(text or "").split("\n\n")):
        if count:
            yield ""
        if paragraph.startswith("\b"):
            yield from ("```text", *paragraph.splitlines()[1:], "```")
        else:
            yield " ".join(paragraph.split())


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if isinstance(option.type, click.Choice):
        names += " " + ", ".join(f"`{choice}`" for choice in option.type.choices)
    elif not option.is_flag:
        names += f" {option.type.name.replace(' range', '').replace('path', 'file').upper()}"
    meaning = option.help or ""
    if isinstance(option.type, click.IntRange | click.FloatRange):
        least, most = option.type.min, option.type.max
        meaning += f" From {least}" + (f" to {most}." if most is not None else ".")
    if option.show_default is True:
        meaning += f" Default: `{option.default}`."
    if option.multiple:
        meaning += " It can be repeated."
    if option.show_envvar:
        meaning += f" Environment: `{option.envvar}`."
    return f"| {names} | {meaning.strip()} |"


def codegen_page() -> str:
    """Return the page about `opslifecycle-codegen`."""
    top = parser()
    lines = [_NOTE, "# opslifecycle-codegen", "", top.description or "", ""]
    lines += ["Install it with `pip install 'opslifecycle[codegen]'`.", ""]
    lines += ["These options stand before the command:", ""]
    lines += [*_TABLE, *(_argument(each) for each in top._actions if each.option_strings)]
    (commands,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        arguments = [each for each in command._actions if each.dest != "help"]
        usage = " ".join(["opslifecycle-codegen", name, *map(_placeholder, arguments)])
        lines += ["", f"## {name}", "", f"    {usage}", "", _sentence(command.description)]
        if arguments:
            lines += ["", *_TABLE, *map(_argument, arguments)]
    lines += [
        "",
        "## Exit status",
        "",
        "| status | meaning |",
        "|---|---|",
        "| 0 | done |",
        "| 1 | something is out of date, or a property does not hold |",
        "| 2 | an error in a machine, the configuration or the arguments; nothing was written |",
        "| 3 | a breaking change that no migration covers |",
        "| 4 | a search of `verify` ended at its limit of states, so it has shown nothing |",
        "| 141 | the reader of the output went away, as in `\\| head -1` |",
    ]
    return "\n".join(lines) + "\n"


def _sentence(text: str | None) -> str:
    return f"{(text or '')[:1].upper()}{(text or '')[1:]}."


def _placeholder(argument: argparse.Action) -> str:
    if not argument.option_strings:
        return f"[{argument.metavar}]" if argument.nargs == "?" else str(argument.metavar)
    value = "" if argument.nargs == 0 else f" {argument.metavar or argument.dest.upper()}"
    return f"[{argument.option_strings[-1]}{value}]"


def _argument(argument: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in argument.option_strings) or str(argument.metavar)
    if argument.choices:
        names += " " + ", ".join(f"`{choice}`" for choice in argument.choices)
    elif argument.option_strings and argument.nargs != 0:
        names += f" {argument.metavar or argument.dest.upper()}"
    return f"| {names} | {argument.help or ''} |"


#: The pages by their file names.
PAGES: dict[str, Callable[[], str]] = {
    "opslifecycle.md": run_page,
    "opslifecycle-codegen.md": codegen_page,
    # Packages install it as share/man/man1/opslifecycle.1.
    "opslifecycle.1": lambda: manual(cli),
}


def main() -> None:
    """Write every page into a folder."""
    folder = Path(sys.argv[1])
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
