"""The options of the commands that run commands."""

from __future__ import annotations

import click
from opslifecycle.cli.running.logs import DEFAULT_LOG_BYTES_MAX

_CONCURRENT_MAX = 1000

max_concurrent_option = click.option(
    "-n",
    "--max-concurrent",
    type=click.IntRange(1, _CONCURRENT_MAX),
    help="How many commands run at once; the others wait. [default: the number of cores]",
)
grace_option = click.option(
    "--grace-seconds",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    help="Seconds from SIGTERM to SIGKILL for a command that is stopped.",
)
patience_option = click.option(
    "--store-patience",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="Seconds to continue while the store cannot be written.",
)
log_bytes_option = click.option(
    "--log-bytes-max",
    type=click.IntRange(1024),
    default=DEFAULT_LOG_BYTES_MAX,
    show_default=True,
    help="Bytes that the log of each output holds; the oldest are dropped.",
)
