"""The tree of a machine as the text of its file."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.CSafeDumper):
    """Writes nothing that the compiler would refuse: no anchors, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every part out."""
        return True


def yaml_of(tree: Any) -> str:
    """Return the YAML of a tree."""
    text = yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000,
        default_flow_style=False,
    )  # fmt: skip
    return str(text)
