"""Values that the section `dist_params` may have; here, because the declarations of options need no torch."""

BACKENDS = ('nccl', 'gloo')
"""Of `torch.distributed`; the first is the default, in whose place gloo stands on machines without CUDA."""
LONGEST_WAIT = 10**6
"""Most seconds that processes may wait for each other, eleven days."""
