"""When to change one's mind: how long a choice stands, and for how long another must have been seen.

Strategies, models and alerts that `dwell` call these kernels, so that the word means one thing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from barograph.jit.kernel import kernel

__all__ = ["UNDECIDED", "Choice", "Waiting", "seen_again", "switch"]

UNDECIDED: Final = -1


class Choice(NamedTuple):
    """What is chosen (-1 before the first choice) and for how many bars it has been, its own bar included."""

    current: int
    age: int


class Waiting(NamedTuple):
    """What may be chosen next (-1: nothing), and at how many closes in a row it was wanted."""

    candidate: int
    closes: int


@kernel
def switch(choice: Any, wanted: int, dwell: int) -> Choice:
    """Choose what is wanted, unless the present choice is younger than `dwell` bars; -1 wants nothing new.

    >>> switch(Choice(0, 2), 1, 3), switch(Choice(0, 3), 1, 3)
    (Choice(current=0, age=3), Choice(current=1, age=1))
    """
    if wanted in (UNDECIDED, choice.current) or (choice.current != UNDECIDED and choice.age < dwell):
        return Choice(choice.current, choice.age + 1)
    return Choice(wanted, 1)


@kernel
def seen_again(waiting: Any, wanted: int) -> Waiting:
    """Count the closes in a row at which the same is wanted; -1 wants nothing, and begins anew.

    >>> seen_again(Waiting(1, 2), 1), seen_again(Waiting(1, 2), 0), seen_again(Waiting(1, 2), -1)
    (Waiting(candidate=1, closes=3), Waiting(candidate=0, closes=1), Waiting(candidate=-1, closes=0))
    """
    if wanted == UNDECIDED:
        return Waiting(UNDECIDED, 0)
    return Waiting(wanted, waiting.closes + 1 if wanted == waiting.candidate else 1)
