"""Two files away from the door."""

from __future__ import annotations

from barograph.jit.kernel import kernel

from .three import far


@kernel
def middle(x):
    """Add."""
    return x + 20.0


@kernel
def through_middle(x):
    """Reach the third file."""
    return far(x)
