"""The store: what has to outlive the agent, behind the engine's `Store` port.

Tables: `sandboxes` (a record each), `journal` (what happened, chained by hashes), `operations`
(what requests with a key were answered), `snapshots` (the catalog), `meta` (about the file). Where
a row has a body, that is the truth, JSON in an envelope with a version and a checksum; its columns
are for finding and for people. Of journal and answers only the newest are kept (`Limits`). One
change, with all that it writes, is one transaction.

A row that cannot be read is never taken for one that is not there: a record's id and a snapshot's
name stay taken and are told at start; asking for a line of the journal or for an answer that cannot
be read is an error that names it.

The file is looked at before anything is written to it (`opening`, `damage`, `mark`). A damaged one
is kept and a new one takes its place (`replacement`), which says that it does not know everything.

Here belong the schema and its migrations, the statements of each table (one file per table), the
codec, the one writer thread, backups, and two twins for tests: one in memory, one that fails on
demand. The only room that knows SQLite; imported by the composition root and by tests.

Exactly one connection is ever open: SQLite before 3.51.3 can corrupt a WAL database when two of
them race a checkpoint with a commit (sqlite.org/wal.html, "the WAL-reset bug").
"""
