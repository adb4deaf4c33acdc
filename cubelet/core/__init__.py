"""The pure core: what a sandbox is, and how one input changes it.

Here belong values and decisions: frozen records, the closed unions of inputs and effects, the
transition table as data, the converge rules. `machine.step(record, input, now, policy)` is the only
function that makes a new record out of an old one. Standard library only, and of that nothing that
reads a clock, draws a number, logs or waits. Every other package may import it; it imports none.
"""
