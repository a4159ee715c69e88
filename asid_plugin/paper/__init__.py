"""The paper: what it reports, and commands that produce its tables and figures (`python -m asid_plugin.paper`)."""
