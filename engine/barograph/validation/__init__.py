"""What a good result is worth when many were tried: statistics over streams of returns, and folds that do not leak.

Arrays in, named tuples out: it runs no machine, so that a sweep, a registry and a notebook ask it the same questions.
"""

from barograph.validation.block_sums import block_sums

__all__ = ["block_sums"]
