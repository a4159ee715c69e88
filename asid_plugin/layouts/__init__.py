"""Names and shapes of parameters in state dicts, ours and those of released checkpoints, and their translation."""
