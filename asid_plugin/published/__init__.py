"""Facts of the paper: all trained networks, and all printed figures."""
