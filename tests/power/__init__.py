"""Power cuts, failing disks and damaged files for the store that ships, beneath the real SQLite.

Every call that the store makes of the operating system is seen here, on its two ways there:
SQLite's (`sqlite_os`, a VFS around its own) and Python's (`python_os`). Whoever watches (`watch`)
may let a call fail (`faults`) or keep it (`recorder`), and what was kept can be played onto a disk
that has lost its power at any point (`disk`). The store's twin in memory says what each image may
hold (`history`, `judge`).

Only tests and `scripts/crash` import it; nothing in the agent knows of it.
"""
