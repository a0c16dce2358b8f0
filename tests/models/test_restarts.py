"""The threads that fits run in: made once, none where the data are few, new ones in a fork's child; same bits."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np

from barograph_models._fit import restarts
from barograph_models.gaussian_hmm import gaussian_hmm

X = np.random.default_rng(1).standard_normal((400, 1)) * np.repeat([1.0, 4.0], 200)[:, None]


def _fit_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("fit")}


def _bits(fitted: Any) -> list[bytes]:
    return [part.tobytes() for part in fitted.params]


def test_threads_that_are_asked_for_are_made_once() -> None:
    restarts._pool.cache_clear()
    one, before = gaussian_hmm(2, starts=6, jobs=1).fit(X), _fit_threads()
    fits = [gaussian_hmm(2, starts=6, jobs=5).fit(X)]
    made = _fit_threads() - before
    assert 0 < len(made) <= 5
    fits += [gaussian_hmm(2, starts=6, jobs=5).fit(X) for _ in range(5)]
    assert len(_fit_threads() - before) <= 5
    assert made <= _fit_threads()
    assert all(_bits(fitted) == _bits(one) for fitted in fits)


def test_few_rows_are_fitted_without_threads_and_many_with() -> None:
    restarts._pool.cache_clear()
    many = np.tile(X, (13, 1))
    before = _fit_threads()
    gaussian_hmm(2, starts=3).fit(X)
    # None is new; those of a pool that is gone end when they come to it.
    assert _fit_threads() <= before
    fitted = gaussian_hmm(2, starts=3).fit(many)
    assert _fit_threads() - before
    assert _bits(fitted) == _bits(gaussian_hmm(2, starts=3, jobs=1).fit(many))


FORKS = """
import os
import threading
import numpy as np
from barograph_models.gaussian_hmm import gaussian_hmm

X = np.random.default_rng(1).standard_normal((400, 1)) * np.repeat([1.0, 4.0], 200)[:, None]
fit = lambda: gaussian_hmm(2, starts=4, jobs=2).fit(X).params.means.tobytes()
first = fit()
child = os.fork()
if child == 0:
    again = fit()
    own = [thread for thread in threading.enumerate() if thread.name.startswith("fit") and thread.is_alive()]
    os._exit(0 if own and again == first else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forks_child_has_threads_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
