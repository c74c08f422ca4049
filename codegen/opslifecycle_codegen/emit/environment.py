"""The template environment, which compiles each template once per process."""

from __future__ import annotations

import jinja2
import jinja2.bccache

from opslifecycle_codegen.emit import texts

#: The variables of a template.
Context = dict[str, object]


class _CompiledTemplates(jinja2.BytecodeCache):
    """The compiled templates of this process, shared by all machines."""

    def __init__(self) -> None:
        self._found: dict[str, bytes] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Load the bytecode of a template that another machine has compiled."""
        if bucket.key in self._found:
            bucket.bytecode_from_string(self._found[bucket.key])

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep the bytecode of a template for other machines."""
        self._found[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _CompiledTemplates()


def environment() -> jinja2.Environment:
    """Return the environment that loads and renders templates."""
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
