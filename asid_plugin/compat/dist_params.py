"""Valid values of the section `dist_params`; in a separate module, because declarations of options need no torch."""

BACKENDS = ('nccl', 'gloo')
"""Backends of `torch.distributed`; the first is the default, replaced by gloo on machines without CUDA."""
LONGEST_WAIT = 10**6
"""Most seconds to wait for other processes, eleven days."""
