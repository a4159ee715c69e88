"""Readers of image files, one module per family of formats; each returns a `Header` and the frames."""
