"""A local page to try ASID on: `python -m asid_plugin.demo --help`."""
