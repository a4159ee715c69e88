"""What happens when a host framework is imported; a module for each, which `asid_plugin.startup` calls.

A module has `before_import()`, called before the framework's own code runs, and `after_import(module)`, called
afterwards.
"""
