"""The templates, compiled once in a process."""

from __future__ import annotations

import jinja2
import jinja2.bccache

from opslifecycle_codegen.emit import texts

#: What a template prints, by the names that it uses.
Context = dict[str, object]


class _CompiledTemplates(jinja2.BytecodeCache):
    """Templates that this process has compiled: each once, however many machines there are."""

    def __init__(self) -> None:
        self._found: dict[str, bytes] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Take a template over from an earlier machine."""
        if bucket.key in self._found:
            bucket.bytecode_from_string(self._found[bucket.key])

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep a template for the next machine."""
        self._found[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _CompiledTemplates()


def environment() -> jinja2.Environment:
    """Return what loads and renders templates."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("opslifecycle_codegen", "emit/templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        bytecode_cache=_COMPILED,
    )
    made.filters["lines"] = "\n".join
    made.filters["markdown"] = texts.markdown
    return made
