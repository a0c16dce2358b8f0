"""One gate for every new bar, whatever the door: what cannot be told from an error is held until the next bar speaks.

`moves` is the test of a bar, `verdicts` what becomes of one that fails it, `rows` how a history looks behind the gate.
"""

from barograph.data.gate.rows import Held, Judged, gated, judged, refused

__all__ = ["Held", "Judged", "gated", "judged", "refused"]
