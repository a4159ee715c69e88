"""The names and shapes of parameters in state dicts: ours, those of released checkpoints, and the way between them."""
