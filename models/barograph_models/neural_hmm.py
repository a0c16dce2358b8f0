"""A classifier over a chain: what it says of a bar is evidence, and regimes last as its labels did."""

from __future__ import annotations

import functools
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.views import frozen, unowned
from barograph.regimes.family import Family
from barograph.regimes.fitted import Model
from barograph.types import Belief, Floats
from barograph_models._chain.filter import observed
from barograph_models._fit.data import check_choice, check_positive
from barograph_models._fit.settings import checked
from barograph_models._over.driven import DRIVEN, learned
from barograph_models._over.evidence import believe
from barograph_models._over.family import Changed, family_named, model_over

__all__ = ["HybridState", "neural_hmm"]

NAME: Final = "neural_hmm"


class HybridState(NamedTuple):
    """The classifier's state, the belief (K,), and room for where it moves, (K,)."""

    inner: Any
    believed: Floats
    ahead: Floats


@functools.cache
def _make(begin: Any, look: Any) -> tuple[Any, Any]:
    def init(params: Any) -> Any:
        return HybridState(begin(params), params.start.copy(), np.zeros(params.start.size))

    def step(state: Any, x: Any, params: Any) -> Any:
        inner, said = look(state.inner, x, params)
        probs, ahead = unowned(state.believed), unowned(state.ahead)
        start, transition, weight = unowned(params.start), unowned(params.transition), params.evidence[0]
        for k in range(probs.size):
            ahead[k] = 0.0
            for i in range(probs.size):
                ahead[k] += probs[i] * transition[i, k]
        believe(observed(x), said.probs, start, weight, ahead, probs)
        return HybridState(inner, state.believed, state.ahead), Belief(frozen(state.believed), said.logpdf)

    if isinstance(begin, Kernel) and isinstance(look, Kernel):
        return kernel(init), kernel(step)
    return init, step


_CHANGED: Final = Changed(__name__, ("evidence",), _make)


@checked
def neural_hmm(
    classifier: Model, weight: float = 1.0, transition: Literal["counted", "driven"] = "counted", ridge: float = 1.0
) -> Model:
    """A hidden Markov model whose emissions are a classifier's: it changes its mind half as often.

    By Bayes' rule what a classifier says of a bar, P(k | rows), over the share of its class, P(k), is in proportion to
    the density of the rows in regime k. So the belief is ``b_k ~ (sum_i b_i A_ik) (P(k | rows) / P(k))^weight``, A the
    moves of the labels that it learned from. Rows that are looked at in windows say much the same at every bar: with
    `weight` below one their evidence counts for less. Forecasts are those of the chain from this belief.

    With ``transition = "driven"`` the moves hang on the features too: from i to j with probability proportional to
    exp(a_ij + b_ij . z), against 1 for staying, z the scaled features of the bar that is left: a regression of the
    labels' moves, b with the penalty b^2 `ridge` / 2. Forecasts hold the features where they are. A class that was
    left fewer than five times keeps its counted moves, and the fit's `notes` tell.

    It helps answers that jitter though the labels last; where they do not jitter, it is late. Raises
    `ConfigError` for a model that is no classifier.

    H. Bourlard & N. Morgan, *Connectionist Speech Recognition: A Hybrid Approach* (1994); Y. Bengio & P. Frasconi, *An
    input output HMM architecture*, NIPS (1995).

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_models.labels import labels_of
    >>> from barograph_models.logistic import logistic
    >>> noise = np.random.default_rng(0).standard_normal((900, 1)) * np.repeat([[1.0], [3.0], [1.0]], 300, axis=0)
    >>> X = np.hstack([noise, np.abs(noise)])
    >>> hasty = logistic(labels_of(gaussian_hmm(states=2, starts=2), columns=("x0",)))
    >>> [int(np.count_nonzero(np.diff(model.fit(X).filter_path(X).probs[:, 1] > 0.5)))
    ...  for model in (hasty, neural_hmm(hasty))]
    [220, 2]
    """
    if classifier.untrained is None:
        raise ConfigError(f"{NAME}: {classifier.name} is no classifier; wanted one such as logistic, forest or lstm")
    check_positive(NAME, weight=weight, ridge=ridge)
    check_choice(NAME, "transition", transition, ("counted", "driven"))
    if transition == "driven":
        if classifier.labelled is None:
            raise ConfigError(f"{NAME}: {classifier.name} learns no labels whose moves features could drive")
        setting = np.array([weight, ridge], dtype=np.float64)
        return model_over(DRIVEN, classifier, NAME, setting, partial(learned, classifier.labelled))
    return model_over(_CHANGED, classifier, NAME, np.array([weight], dtype=np.float64))


def __getattr__(name: str) -> Family:
    """Find the family of a saved fit: it is called like the one it is over."""
    return family_named(_CHANGED, name)
