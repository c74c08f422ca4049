"""The names and options of the commands, which `--help` prints without the compiler."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypedDict

FORMATS = ("text", "json", "github")


class Settings(TypedDict, total=False):
    """The settings of an option, in the terms of `argparse`."""

    metavar: str
    help: str
    nargs: str
    type: Callable[[str], object]
    action: str
    choices: Sequence[str]
    default: object


#: The names and the settings of an option.
Option: TypeAlias = tuple[tuple[str, ...], Settings]


class Command(NamedTuple):
    """One command of the command line."""

    name: str
    help: str
    options: tuple[Option, ...] = ()


def _positive(text: str) -> int:
    """Return a number of states."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


_MACHINE: Option = (
    ("--machine",),
    {"metavar": "NAME", "help": "only this machine (default: all of the project)"},
)

COMMANDS = (
    Command("init", "begin a machine: write commented YAML, configuration and a first test",
         ((("name",), {"metavar": "NAME", "help": "the name of the machine, in snake_case"}),)),
    Command("generate", "generate every file that is missing or out of date"),
    Command("check", "compare every generated file with its source; write nothing"),
    Command("lock", "print what each lock is of, or begin one anew",
         (_MACHINE,
          (("--reset",), {"action": "store_true",
                          "help": "begin the lock anew, then generate; needs a new version"}),
          (("--reason",), {"metavar": "TEXT",
                           "help": "why no store has to be read again; the lock keeps it"}))),
    Command("watch", "generate whenever a machine or the configuration changes"),
    Command("explain", "describe a machine, or what is allowed in one status",
         ((("status",), {"nargs": "?", "metavar": "STATUS",
                      "help": "only this status (default: the whole machine)"}), _MACHINE)),
    Command("diagram", "print the diagram of a machine as Mermaid, or draw it as SVG",
         (_MACHINE, (("--svg",), {"type": Path, "metavar": "FILE",
                                "help": "draw the diagram into FILE; needs Graphviz"}))),
    Command("verify", "search the states of a machine for one in which a property is false",
         (_MACHINE,
          (("--all",), {"action": "store_true", "help": "search large scenarios, too"}),
          (("--max-states",), {"type": _positive, "metavar": "N", "default": 1_000_000,
                               "help": "end a search after N states (default: 1000000)"}),
          (("--update-baseline",), {"action": "store_true",
                                    "help": "save the figures beside the machine"}),
          (("--spin",), {"action": "store_true", "help": "compare the number of states with SPIN"}),
          (("--induction",), {"action": "store_true",
                              "help": "prove properties for any number of records, with z3"}))),
    Command("export", "print a scenario of a machine for another model checker",
         ((("scenario",), {"metavar": "SCENARIO", "help": "a name from the machine's `scenarios`"}),
          _MACHINE,
          (("--to",), {"choices": ("promela", "tla"), "default": "promela",
                       "help": "for SPIN or for TLA+ (default: promela)"}))),
    Command("diff", "list the changes between two machine files, and what each breaks",
         ((("old",), {"metavar": "OLD",
                      "help": "a file, or REVISION:PATH in git, of the older machine"}),
          (("new",), {"metavar": "NEW", "help": "the same, of the newer machine"}))),
    Command("schema", "print the JSON Schema of machine files, for editors"),
    Command("fmt", "format machine files",
         ((("--check",), {"action": "store_true",
                          "help": "list the files that would change; write nothing"}),)),
)  # fmt: skip
