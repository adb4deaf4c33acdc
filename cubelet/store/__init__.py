"""The store: records and journal on disk, behind the engine's `Store` port.

Here belong the schema and its migrations, the statements of each table (one file per table), the
codec of records, the one writer thread, and two twins for tests: one in memory, one that fails on
demand. The only room that knows SQLite; imported by the composition root and by tests.

Exactly one connection is ever open: SQLite before 3.51.3 can corrupt a WAL database when two of
them race a checkpoint with a commit (sqlite.org/wal.html, "the WAL-reset bug").
"""
