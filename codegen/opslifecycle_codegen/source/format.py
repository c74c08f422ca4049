"""Format machine files; content and comments stay the same."""

from __future__ import annotations

import io
import re
from collections import Counter

from opslifecycle_codegen.base.config import InvalidConfigError
from opslifecycle_codegen.source.reader import plain_data, read

_WIDTH = 100
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)


def format_yaml(source: bytes, path: str) -> bytes:
    """Return the file with even indentation and line breaks.

    Raises InvalidMachineError for invalid YAML, and InvalidConfigError if formatting would change
    or lose content.
    """
    before = read(source, path)
    try:
        from ruamel.yaml import YAML
    except ModuleNotFoundError:
        message = "fmt needs ruamel.yaml; pip install 'opslifecycle[codegen]'"
        raise InvalidConfigError(message) from None
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(yaml.load(source.decode("utf-8-sig")), out)
    text = "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
    after = text.encode("utf-8")
    same = plain_data(read(after, path)) == plain_data(before)
    if not same or _comments(source.decode("utf-8-sig")) != _comments(text):
        raise InvalidConfigError(f"{path}: it cannot be laid out without changing what it says")
    return after


def _comments(text: str) -> Counter[str]:
    return Counter(comment.strip() for comment in _COMMENT.findall(text))
