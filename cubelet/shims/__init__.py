"""Our own shim processes: programs that stand between the agent and what runs in a sandbox.

Each shim is a package here with a ``__main__``; the agent starts it as a process and speaks ttrpc
with it, exactly as with containerd's shims. They build on `shimclient.skeleton` and import nothing
else of this project, so a shim neither knows the agent nor dies with it.
"""
