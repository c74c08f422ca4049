"""How the documentation is built: make docs."""

project = "opslifecycle"
author = "the opslifecycle authors"
copyright = author
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["decisions/*"]
myst_enable_extensions = ["colon_fence"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3
# Links to files of the project, and headings that begin where a page of ours does.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]
html_theme = "furo"
html_title = "opslifecycle"
