"""The cost of networks: parameters and multiply-adds, time and memory."""

from .running import Cost, CostError, measure

__all__ = ['Cost', 'CostError', 'measure']
