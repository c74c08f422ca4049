"""Sphinx configuration; `make docs` builds the pages, and a warning is an error."""

project = "opslifecycle"
author = "the opslifecycle authors"
copyright = author  # noqa: A001 - Sphinx reads this name
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3
# The console blocks that show only a part of an output have no lexer that accepts them.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = "opslifecycle"
