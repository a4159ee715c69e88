"""Readers of image files, a module per family of formats; each gives a `Header`, and the frames."""
