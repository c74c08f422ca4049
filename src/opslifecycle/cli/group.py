"""The commands of `opslifecycle`, each in a module of its own."""

from __future__ import annotations

from importlib.metadata import version

import click
from opslifecycle.cli.cancel import cancel
from opslifecycle.cli.collect import collect
from opslifecycle.cli.doctor import doctor
from opslifecycle.cli.logs import logs
from opslifecycle.cli.ls import ls
from opslifecycle.cli.restored import restored
from opslifecycle.cli.run import run
from opslifecycle.cli.show import show
from opslifecycle.cli.tail import tail
from opslifecycle.cli.wait import wait


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("opslifecycle"))
def cli() -> None:
    """Run commands as operations, and inspect how they are doing."""


for command in (run, ls, show, logs, tail, wait, cancel, collect, doctor, restored):
    cli.add_command(command)
