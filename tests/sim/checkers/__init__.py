"""The judges of a run: they know the truth about every simulated sandbox, and hold the agent to it.

One file for each group of invariants (I1-I23 of the design's programme; a checker's messages begin
with the number). They are told of every transaction, call, answer and view, and look at shims, disk
and callers, never at what the engine says of itself. I15 (watch) and I18 (admission) are not here:
the agent has neither yet. I19 is measured on real processes.
"""

from tests.sim.checkers.judge import Judge

__all__ = ["Judge"]
