"""The commands of `opslifecycle`, each in a module of its own that is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import click

#: Each is a function in the module of the same name.
COMMANDS = (
    "cancel", "collect", "db", "doctor", "logs", "ls", "restored", "run", "show", "tail", "wait"
)  # fmt: skip


class _Commands(click.Group):
    """A group that imports a command when it is used: `run` needs much that `ls` does not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"opslifecycle.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("opslifecycle"))
def cli() -> None:
    """Run commands as operations, and inspect how they are doing."""
