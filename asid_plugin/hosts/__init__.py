"""Connect each framework when a program imports it; `asid_plugin.startup` calls these modules.

A module has `before_import()`, called before the code of the framework runs, and `after_import(module)`, called
afterwards.
"""
