"""The checks that every part must pass; a new feature, filter, strategy or model is tested by handing it over.

>>> from barograph.features import log_return
>>> check_feature(log_return())
"""

from barograph.testing.models import LAWS, Checked, check_model
from barograph.testing.parts import (
    check_feature,
    check_filter,
    check_machine,
    check_strategy,
    coin,
    interpreted,
    same,
    some_bars,
)

__all__ = ["LAWS", "Checked", "check_feature", "check_filter", "check_machine", "check_model", "check_strategy", "coin",
           "interpreted", "same", "some_bars"]  # fmt: skip
