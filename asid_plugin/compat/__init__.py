"""Corrections of the host frameworks, one function each; none of their files is changed."""
