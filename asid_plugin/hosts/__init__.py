"""The connection to each framework, made when a program imports it; `asid_plugin.startup` calls these modules.

A module has `before_import()`, called before the framework's own code runs, and `after_import(module)`, called
afterwards.
"""
