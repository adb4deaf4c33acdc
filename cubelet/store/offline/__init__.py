"""What is done to a store's file while no agent has it open: check, show, carry away, bring back.

`rows` has each table's row as a value, `audit` says what is wrong with such values, wherever they
come from: a file of SQLite (`verify`) or an export (`reader`). `dump` shows them, `exports` writes
them, `imports` makes a store of them. `readonly` is the one way to a store that is there, and
changes nothing of it.

Nothing here runs in an agent. Imported by `cubelet.storecli`, by scripts and by tests.
"""
