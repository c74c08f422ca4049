"""`opslifecycle man`: the manual page, printed from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click


@click.command()
@click.pass_context
def man(ctx: click.Context) -> None:
    """Print the manual page in the format of man: opslifecycle man | man -l -.

    Packages install it, too: man opslifecycle.
    """
    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    click.echo(manual(group), nl=False)


def manual(group: click.Group) -> str:
    """Return the manual page of a group of commands."""
    context = click.Context(group, info_name="opslifecycle")
    summary = (group.help or "").partition("\n")[0].rstrip(".")
    lines = [
        '.TH OPSLIFECYCLE 1 "" "" "User Commands"', ".SH NAME",
        f"opslifecycle \\- {_escaped(summary[:1].lower() + summary[1:])}", ".SH SYNOPSIS",
        ".B opslifecycle", r"\fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]", ".SH COMMANDS",
    ]  # fmt: skip
    for name, command in _commands(group, context):
        lines += [f".SS {_escaped(name)}", *_command(name, command)]
    lines += [".SH ENVIRONMENT", ".TP", ".B OPSLIFECYCLE_STORE", "The store, as of \\-\\-store."]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for below, each in _commands(command, context):
                yield f"{name} {below}", each
        else:
            yield name, command


def _command(name: str, command: click.Command) -> Iterator[str]:
    usage = command.collect_usage_pieces(click.Context(command, info_name=name))
    yield f".B opslifecycle {_escaped(name)}"
    yield _escaped(" ".join(usage))
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield ".PP"
        if paragraph.startswith("\b"):
            yield from (".nf", *(_escaped(line) for line in paragraph.splitlines()[1:]), ".fi")
        else:
            yield _escaped(" ".join(paragraph.split()))
    for param in command.params:
        if isinstance(param, click.Argument):
            continue
        record = param.get_help_record(click.Context(command, info_name=name))
        if record is not None:
            names, meaning = record
            yield from (".TP", f".B {_escaped(names)}", _escaped(meaning))


def _escaped(text: str) -> str:
    """Return a text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
