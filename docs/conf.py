"""Sphinx: Markdown through MyST, furo, and no network: links of our own must resolve, foreign names need not."""

import builtins
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "envoy-async"
author = "the envoy-async authors"
version = release = installed_version("envoy-async")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "endpoints", "model_fields"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"envoy-async {release}"
html_show_copyright = False  # LICENSE speaks for every file
html_static_path = ["_static"]
html_css_files = ["wide.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_typehints_description_target = "all"
default_role = "code"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

nitpicky = True
# Names of other packages cannot be looked up without a network; a dangling name of our own still fails the build.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!envoy_async\.)[A-Za-z_]\w*\..+"),
    (r"py:.*", rf"({'|'.join(dir(builtins))})"),
    (r"py:class", r"(envoy_async\.\S+\.)?[TKV]"),  # type variables
    (r"py:class", r"datetime"),  # of an attribute, whose annotation is read from the source
]
nitpick_ignore = [
    ("py:class", name)
    for name in (
        *("Algorithm", "Credentials", "End", "Handler", "Redis", "Route", "Run", "Source"),
        "envoy_async.bulk._run.Paged",
        "envoy_async.fleet._dask.DaskClient",
        "envoy_async.webhooks._reconcile.Client",
    )
]  # explained in place
