"""What every regime model owes: a fit that can be saved, filtered, matched and looked ahead with.

The models themselves are plug-ins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["saved"]


def saved(file: Path) -> Any:
    """Return the `Fitted` that `barograph fit` kept in a file: a model that never learns again.

    Raises `FitError` for a file that is missing, damaged, or of another version.

    >>> saved(Path("nowhere.npz"))
    Traceback (most recent call last):
    barograph.errors.FitError: nowhere.npz: cannot be read: No such file or directory
    """
    from barograph.regimes.fitted import Fitted

    return Fitted.load(file)
