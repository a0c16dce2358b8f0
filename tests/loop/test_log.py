"""The order log comes in pieces: how large they are is the allocator's business, and changes no event."""

from __future__ import annotations

import pytest

import barograph as bg
from barograph.loop import session
from barograph.testing import some_bars
from tests.kit.machines import machines

BARS = some_bars(600)


@pytest.mark.parametrize(("first", "later"), [(1, 1), (30_000, 1), (30_000, 36_000_000), (10**8, 10**8)])
@pytest.mark.parametrize("name", ["next_open", "python strategy", "python filter"])
def test_the_size_of_the_pieces_changes_no_event(
    name: str, first: int, later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = machines()[name]
    wanted = bg.scan(machine, BARS)
    monkeypatch.setattr(session, "_FIRST_PIECE", first)
    monkeypatch.setattr(session, "_PIECE", later)
    found = bg.scan(machine, BARS)
    assert found.arrays.events.tobytes() == wanted.arrays.events.tobytes()
    assert found.arrays.table.tobytes() == wanted.arrays.table.tobytes()
    assert (len(found.arrays.logs.pieces) > 1) == (first < 10**8)


def test_a_quiet_run_takes_a_small_log_and_a_busy_one_large_pieces() -> None:
    run = session.Session(machines()["next_open"], BARS, None, None)
    small, large = run._piece(len(BARS), session._FIRST_PIECE), run._piece(len(BARS), session._PIECE)
    assert small.nbytes <= session._FIRST_PIECE < 2**25 < large.nbytes
    # One bar, as a live run steps: no more than it can fill.
    assert len(run._piece(2, session._FIRST_PIECE)) == 2 * run._words_a_bar()
