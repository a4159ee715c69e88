"""ASID-D8 x3: eight blocks."""

_base_ = 'asid_x3_div2k.py'

model = dict(generator=dict(num_block=8))
