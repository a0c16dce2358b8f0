"""Student-t regimes under a prior: what they emit, what is known of them before, and how they are learned from rows.

For `student_hmm` alone. What any chain of regimes needs, whatever they emit, is in `_chain`.
"""
