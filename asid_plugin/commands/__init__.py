"""The command line: `asid upscale`, `asid train` and the others, a module each.

A module declares its arguments (`add_arguments`) and does its work (`run`). The packages that it needs are imported by
`run`, so that `--help` and a mistyped option are answered without PyTorch.
"""
