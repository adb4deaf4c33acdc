"""A shim process with a simulated VM that fails on demand: for tests, demos and fault drills.

It speaks the Task API (v2 and v3), forwards the events, and behaves as containerd's runc shim: one
mutex of the VM covers Pause, Resume, Start, Kill, Delete and State, so State waits while a pause
runs; wrong-state answers are code 2, unknown ids code 5. There are no execs in it. It runs

* as a shim binary, under a real containerd too:
  ``python -m shimclient.fake -namespace NS -id ID start``;
* by itself: ``python -m shimclient.fake serve --address SOCKET``, whose caller creates the tasks;
* in a test's own loop, in virtual time: ``FakeService(context, script=Script())``.

What it does wrong is a script (script.py): how long operations take, and failpoints in a small
grammar (failpoints.py), such as ``pause=2*off->1*late(31s)->hang;events=1*drop``. A script comes
from ``fake.json`` or ``fake.toml`` in the bundle, from the environment, from an annotation of
config.json, and at run time through the service shimclient.fake.v1.Control (control.py).

A test sees the truth behind the answers without the mutex: Stats is JSON in an Any of type
``shimclient.fake.v1.Stats`` with ``status``, ``generation`` (+1 by each resume and rollback),
``ticks`` (1000 in each second in which the VM runs, so a freeze shows) and ``pid``; Control.Status
says the same, and a digest of the memory.

The VM has a memory (memory.py) of which it writes a page every 100 ms, unless the script says
otherwise. A resume restores it from an image that nobody else sees. Checkpoint writes an image into
a folder, laid over the image in another folder if its options say so, which no VM checks to be the
right one: see ``CheckpointOptions`` in fake.proto. Update with CubeSandbox's annotations for a
rollback restores a VM from such a folder, and the annotation ``shimclient.fake/snapshot`` of
config.json lets a task start from one (protocol.py has the names of all of it).

May be imported by tests and by who offers the `fake` runtime. Imports shimclient only.
"""
