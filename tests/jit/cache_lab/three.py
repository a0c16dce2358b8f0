"""Three files away from the door."""

from __future__ import annotations

from barograph.jit.kernel import kernel


@kernel
def far(x):
    """Add."""
    return x + 3.0
