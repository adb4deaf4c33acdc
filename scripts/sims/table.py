"""How long pauses and resumes stay open after an error, over many runs."""

from __future__ import annotations

from collections.abc import Sequence

from tests.sim.checkers.settling import Times

#: T_stuck + one round + one question + slack: with every event lost.
WORST_S = 76.0
#: Once the shim answers, its own operation is over, and one look decides.
P99_S = 2.0


def show(times: Sequence[Times]) -> bool:
    """Print the table; whether a bound is exceeded."""
    silent = [one for one in times if one.silent]
    rows = (
        ("all, from the error, every event lost", _all(silent, "whole"), "max", WORST_S),
        ("all, from the error", _all(times, "whole"), "max", WORST_S),
        ("one look decides, status waits for the mutex", _all(times, "first"), "p99", P99_S),
        ("one look decides, status beside the mutex", _all(times, "beside"), "", 0.0),
        ("one look decides, the store failed meanwhile", _all(times, "store"), "max", WORST_S),
        ("two looks decide (call lost or given up)", _all(times, "second"), "max", WORST_S),
    )
    print(f"{'time to settle, s':46}{'number':>8}{'p50':>8}{'p99':>8}{'max':>8}  bound")
    exceeded = False
    for name, values, bounded, bound_s in rows:
        found = {"p50": _part(values, 0.5), "p99": _part(values, 0.99), "max": _part(values, 1.0)}
        cells = "".join(f"{value:8.2f}" for value in found.values())
        over = bool(bounded) and found[bounded] > bound_s
        exceeded = exceeded or over
        bound = f"{bounded} {bound_s:g}{' EXCEEDED' if over else ''}" if bounded else "-"
        print(f"{name:46}{len(values):8d}{cells}  {bound}")
    return exceeded


def _all(times: Sequence[Times], name: str) -> list[float]:
    return sorted(value for one in times for value in getattr(one, name))


def _part(values: Sequence[float], part: float) -> float:
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0
