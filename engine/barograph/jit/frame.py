"""The frame: an array of int64 by which a door and the parts it calls find what they share.

Words are addresses of arrays, and sizes; so how many assets, features, regimes and bars there are is data, and nothing
is compiled again for another number of them. Whoever makes a frame holds the arrays. Doors and parts are compiled and
cached apart and agree by these numbers alone: all of them reach `LAYOUT`, so that another layout is another fingerprint
of both (`tests/jit/test_cache.py` plants one).
"""

from __future__ import annotations

from typing import Final

__all__ = ["BLOCK", "LAYOUT", "WORDS"]

LAYOUT: Final = 6
"""The number of the layout; it grows when a word below changes its place or its meaning."""

BLOCK: Final = 512
"""How many bars features and filter see at a time: they never look at the account."""

# Sizes: assets, regimes, features, the first decided bar, words that the log may hold before a bar.
N, K, D, START, LOG_LIMIT = range(5)
# Columns (T, N): moments, prices, volume; actions (T, 4, N) or (1, 4, N) and whether there are any; rates likewise.
TS, OPEN, HIGH, LOW, CLOSE, VOLUME, ACTIONS, ACTING, RATES, VARYING = range(5, 15)
# Memory and parameters: their numbers and whole numbers.
FLOATS, INTS, PARAM_FLOATS, PARAM_INTS = range(15, 19)
# What is written: features (T, D), equity (n, 6), weights (n, N), beliefs (n, count * (K + 1)), the log and its words.
X, E, W, B, LOG, LOG_WORDS = range(19, 25)
# The account: where its money and its rows lie, and the tables of book and rules.
MONEY, ROWS, BOOK_AT, RULES_AT = range(25, 29)
# A strategy's answer: its kind, weights (N,), levels (3, N), a slip and its rows; which assets are traded, as floats.
ANSWER, WEIGHTS, LEVELS, SLIP, SLIP_ROWS, TRADED = range(29, 35)
# The block that features and filter have seen; its adjusted prices (4, BLOCK, N), its last bar's (4, N); ones (N,).
SEEN_FROM, SEEN_TO, ADJUSTED, LAST_ADJUSTED, ONES = range(35, 40)
# The belief before there is a model; the records of the parts, and which one is being called.
BLANK, PARTS, CALLED = range(40, 43)
# Forecasts (n, width): the numbers of a row, the words that say where each lies, the table of their plans; a blank row.
FORECASTS, FORECAST_WIDTH, FORECAST_TABLE, PLANS, BLANK_FORECAST = range(43, 48)
# How many beliefs lie in a row, how many filters write them, and the row of each (filters,).
BELIEFS, FILTERS, WHOSE = range(48, 51)
# How far the equity's rows lie apart, and its columns: a table is (n, 6), or turned, (6, n); how far those of weights.
E_ROW, E_COLUMN, W_ROW = range(51, 54)
# How many features are seen, a strategy's own among them; those (T, count), and how many there are in a row.
SEEN, OWN_FEATURES, OWN_COUNT = range(54, 57)
# Decisions of all bars (T, N) that were made before, or 0; with them the days (UTC) since the bar before (T,), and the
# next bar that decides otherwise than the one before it (T,).
DECIDED, DAYS, TURNS = range(57, 60)
# Which rows are late ones, at which nothing is decided (T,), and how (`clauses`), or 0 where none is.
LATE: Final = 60
WORDS: Final = 61

# Words of a part's own record: its code, the tables of its memory and parameters, the bar it is at; where a feature's
# first number is written, and how far its numbers lie apart.
CODE, AT, PAT, AT_BAR, TO, APART, OWN = range(7)
