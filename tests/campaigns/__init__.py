"""Campaigns: what takes hours. What a service logs of them is looked at in `tests/paper/test_log.py`."""

import logging

logging.getLogger("barograph").addHandler(logging.NullHandler())
