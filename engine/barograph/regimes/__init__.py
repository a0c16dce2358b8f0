"""What every regime model owes: a fit that can be saved, filtered, matched and looked ahead with.

The models themselves are plug-ins.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["saved"]


def saved(file: Path) -> Fitted:
    """Return the model that `barograph fit` kept in a file: one that is fitted already and never learns again.

    Raises `FitError` for a file that is missing, damaged, or of another version.

    >>> saved(Path("nowhere.npz"))
    Traceback (most recent call last):
    barograph.errors.FitError: nowhere.npz: cannot be read: No such file or directory
    """
    from barograph.regimes.fitted import Fitted

    return Fitted.load(file)
