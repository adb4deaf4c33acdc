"""A sandbox that is a process tree on this host: works for any user, with nothing to install.

Run as ``python -m cubelet.shims.process -namespace NS -id ID -address A -bundle DIR start|delete``.
One shim process holds one task. **It is no security boundary**: the tree sees the host's network,
processes and (unless it is chrooted) files. What it promises is that pause, resume, kill and delete
reach *every* process of the tree, and that their answers are true.

Of the bundle's OCI config.json it uses

* ``process.args``, ``env``, ``cwd``; ``user`` (uid, gid, additionalGids) where the shim is root;
  ``noNewPrivileges``. ``terminal`` is refused.
* ``root.path``: the tree is chrooted into it where the shim is root and it is a folder that is not
  empty; else it sees the host's own files. ``mounts``, namespaces and the rest are ignored.
* ``linux.resources``: ``memory.limit``, ``cpu.quota``, ``cpu.period``, ``cpu.shares``, where a
  cgroup can be written; else a log line says that there is no limit.
* the annotation ``cubelet.process/freezer``: ``auto`` (default), ``cgroup`` (either version),
  ``cgroup_v1``, ``cgroup_v2`` or ``signals``; a named one that does not work here is refused.

Every process finds one variable more in its environment, ``CUBELET_SANDBOX_<random>``, by which
``delete`` finds what a killed shim left behind. Who drops it and daemonizes outside a cgroup
escapes that one clean-up, nothing else.

Rooms: `identity` and `tree` look at /proc; `freeze_signals` and `freeze_cgroup` are the two ways to
stand still, chosen by `freezer`; `bundle` reads the configuration; `spawn` and `launch` start the
first process; `killing` ends trees; `sandbox` is the task and what may be done to it
when; `service` is the Task service; `cleanup` is ``delete``.
"""
