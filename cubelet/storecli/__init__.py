"""`cubelet store`: check, show, export and import the store's file while no agent has it.

A part of the daemon's binary, and like it the only ones to open that file: each command holds the
state directory's lock. One file per command; `held` has what they share. Imported by app alone.
"""
