"""The command line: `asid upscale`, `asid train` and the others, a module each.

A module says what it takes (`add_arguments`) and does it (`run`). What a command needs is imported by `run`, so that
`--help` and a mistyped option are answered without PyTorch.
"""
