"""ASID-D8 x4: eight blocks."""

_base_ = 'asid_x4_div2k.py'

model = dict(generator=dict(num_block=8))
