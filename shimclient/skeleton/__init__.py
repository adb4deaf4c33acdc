"""What every shim process written in Python shares, so that a shim is only its own Task service.

A shim is a `Program` and a `TaskService`; its ``__main__`` is four lines::

    from shimclient.skeleton.main import main
    from shimclient.skeleton.serve import Program

    PROGRAM = Program(name="mine", summary="...", service=MyService, cleanup=cleanup)
    sys.exit(main(PROGRAM))

* `main` (main.py) is the command line of shim v2 binaries: ``start`` binds the socket that the
  flags name, forks the server process, and prints the address once that serves; ``delete`` calls
  ``cleanup(flags, bundle) -> shimclient.task.Exit`` and prints it; ``serve -address SOCKET`` serves
  in the foreground, its state file beside the socket. Sockets stand in containerd's folder, in a
  private one for ordinary users, or in ``SHIM_SOCKET_DIR``.
* ``zygote`` (zygote.py) is for programs that start many shims: it forks what ``start`` would do in
  a process that has loaded everything. `shimclient.zygote` is its other side. So a module of a shim
  must not start threads, open files or make an event loop when it is imported.
* `Program.service` is called with a `ShimContext` in the server's running loop and returns a
  `TaskService` (service.py): override the methods that the shim can do; each takes the request
  (shimclient.api.task_pb2) and a CallContext, and answers the reply message or raises StatusError.
  What is not overridden answers code 12. Hooks: ``begin`` before the first call (read
  ``context.state.load()`` there), ``end`` after the last, ``has_tasks`` (Shutdown ends the process
  only without tasks), ``more_services`` for services of the shim's own.
* `ShimContext`: ``namespace``, ``id``, ``bundle``, ``publish(message)`` (sends an event and never
  waits), ``reaper`` (start children by ``reaper.spawn``: it reaps all children, so asyncio's
  subprocesses cannot be used), ``state`` (a `StateFile` in the bundle, replaced whole and synced;
  its ``save`` blocks for a disk write), ``stop()``, ``wall_ns()``.
* An error of the set-up (SetupError, in errors.py) ends the command with one line on stderr.
* The process is a subreaper, leads its own session, logs by `logging` to the bundle's ``log``,
  ends at SIGTERM or Shutdown after answering what is in flight, and removes its socket.

May be imported by shimclient.fake and cubelet.shims; `sockets` also by who looks for the sockets of
shims that are gone. Imports nothing of cubelet.
"""
