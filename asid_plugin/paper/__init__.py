"""The tables and figures of the paper, counted, measured and drawn here beside the reported figures."""
