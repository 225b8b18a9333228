"""The documentation site: `sphinx-build -c docs . OUT`.

The source folder is the repository, so that links between documents, results and pictures are the same on a code host
and on the site.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import pvnas_bench

project = "pvnas_bench"
author = "The pvnas_bench developers"
copyright = f"2026, {author}"
release = version = pvnas_bench.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "command_line",
]
root_doc = "docs/index"
include_patterns = ["docs/**", "results/**.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = ["docs/_ext", "docs/examples", "results/leaderboard.md", "results/real/leaderboard.md"]
default_role = "py:obj"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
nitpick_ignore_regex = [("py:.*", r".*")]
suppress_warnings = ["myst.header"]  # boards begin with the third level

html_theme = "furo"
html_title = f"pvnas_bench {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["_extra"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2f5d8a", "color-brand-content": "#2f5d8a"},
    "dark_css_variables": {"color-brand-primary": "#8ab4dd", "color-brand-content": "#8ab4dd"},
}
copybutton_exclude = ".linenos, .gp"
