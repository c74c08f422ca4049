"""Variables from files of lines `NAME=value` (`.env`)."""

from __future__ import annotations

import io
from pathlib import Path

from opslifecycle.cli.batches.model import InvalidBatchError


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables in a file. `${NAME}` stands for a variable above it, or of this process.

    Raises:
        InvalidBatchError: The file cannot be read, or a line is no `NAME=value`.
    """
    # Few batches have such files, and the library takes longer to import than a batch to read.
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidBatchError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidBatchError(f"{path}: this is not UTF-8") from None
    for each in parse_stream(io.StringIO(text)):
        if each.error or (each.key is not None and each.value is None):
            raise InvalidBatchError(f"{path}:{each.original.line}: expected NAME=value")
    found = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in found.items() if value is not None}
