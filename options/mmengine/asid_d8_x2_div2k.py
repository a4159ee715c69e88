"""ASID-D8 x2: eight blocks."""

_base_ = 'asid_x2_div2k.py'

model = dict(generator=dict(num_block=8))
