"""Campaigns: what takes hours. What the service logs of a thousand outages is looked at in `tests/paper/test_log.py`."""

import logging

logging.getLogger("barograph").addHandler(logging.NullHandler())
