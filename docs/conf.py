"""Sphinx configuration; `make docs` builds the pages, and a warning is an error."""

project = "opslifecycle"
author = "the opslifecycle authors"
copyright = author
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3
# The console blocks that show only a part of an output have no lexer that accepts them.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = "opslifecycle"
