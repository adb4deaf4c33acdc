"""The simulator: the shipped core and engine in virtual time, in a world that is mostly broken.

Here belongs the world around the agent: runtimes, disk, events, clocks, callers, and the checkers
that know its truth. A run follows from its seed alone. Only tests and `scripts/sim` import it;
it imports the engine, its ports and the fake shim's memory, and nothing else of the agent.
"""
