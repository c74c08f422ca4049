"""The commands of `opslifecycle`, each in a module of its own that is imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click
from opslifecycle.cli.interrupting import raise_interrupts

#: The function of each command is in the module of the same name. Its line in the help is here, so
#: that `--help` imports no command.
COMMANDS = {
    "attach": "Follow a run to its end.",
    "backup": "Write a verified copy of a store in use.",
    "cancel": "Ask the owners of operations to cancel them.",
    "collect": "Print and erase finished operations of ended runs.",
    "db": "Administer a store on a PostgreSQL server.",
    "doctor": "Check a store for damage and broken invariants.",
    "logs": "Print the output of a command.",
    "ls": "List the operations in a store, oldest first.",
    "map": "Run a command for each of many values.",
    "man": "Print the manual page.",
    "migrate": "Migrate the registries of a store, after a backup.",
    "retry": "Run commands of an earlier run again.",
    "restored": "Begin a new epoch after a store was restored.",
    "run": "Run commands, and record how each ends.",
    "serve": "Show a store over HTTP.",
    "show": "Print everything about one operation.",
    "tail": "Print the completion feed, one JSON object a line.",
    "wait": "Wait until operations have ended.",
    "watch": "Show the operations of all runs as they change.",
}


class _Commands(click.Group):
    """A group that imports a command when it is used: `run` needs much that `ls` does not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"opslifecycle.cli.{cmd_name}"), cmd_name)
        raise_interrupts()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="opslifecycle")
def cli() -> None:
    """Run commands as operations, and inspect how they are doing."""
