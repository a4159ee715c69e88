"""How Sphinx builds these pages: `sphinx-build -W docs OUTPUT`, with the extra `docs`."""

from asid_plugin.version import __version__ as release

project = 'asid_plugin'
copyright = '2026, the authors of asid_plugin'
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 3
html_theme = 'furo'
html_title = f'asid_plugin {release}'
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
napoleon_use_ivar = True  # else attributes of dataclasses are described twice
