"""Programs that make it hard to stop them all. Each counts into the file argv[1]."""

from __future__ import annotations

from typing import Final

#: Eight processes that never stop starting children, which start children.
FORKS: Final = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def work():
    while True:
        if (child := os.fork()) == 0:
            if os.fork() == 0:
                os.write(file, b".")
            os._exit(0)
        os.waitpid(child, 0)
for _ in range(7):
    if os.fork() == 0:
        work()
work()
"""

#: A runner that is another process every time: start a child, and die.
RUNNER: Final = """
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
if os.fork() == 0:
    while True:
        os.write(file, b".")
        if os.fork():
            os._exit(0)
while True:
    time.sleep(60)
"""

#: A daemon by the book: two forks, a session of its own; the pid is in argv[2].
DAEMON: Final = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    with open(sys.argv[2] + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    with open(sys.argv[1], "ab", buffering=0) as file:
        while True:
            file.write(b".")
            time.sleep(0.0005)
while True:
    time.sleep(60)
"""

#: Starts programs by vfork: while a child has not executed its program, its parent cannot stop.
VFORKS: Final = """
import subprocess, sys
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        subprocess.run(["/bin/true"], close_fds=False)
        file.write(b".")
"""

#: A child whose first thread has ended, so that it looks like a corpse; its second one counts.
HEADLESS: Final = """
import ctypes, os, sys, threading, time
def count():
    with open(sys.argv[1], "ab", buffering=0) as file:
        while True:
            file.write(b".")
            time.sleep(0.0005)
if os.fork() == 0:
    threading.Thread(target=count).start()
    ctypes.CDLL(None).syscall(int(sys.argv[2]), 0)
while True:
    time.sleep(60)
"""

#: A parent that is told of every child of its that is stopped; it says so in argv[2].
WATCHFUL: Final = """
import os, sys, time
if (child := os.fork()) == 0:
    with open(sys.argv[1], "ab", buffering=0) as file:
        while True:
            file.write(b".")
            time.sleep(0.0005)
while True:
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        open(sys.argv[2], "w").close()
"""

#: Stops one of its two children itself; that one's pid is in argv[2].
ONE_STOPPED: Final = """
import os, signal, sys, time
if (stopped := os.fork()) == 0:
    while True:
        time.sleep(60)
os.kill(stopped, signal.SIGSTOP)
os.waitpid(stopped, os.WUNTRACED)
with open(sys.argv[2] + ".new", "w") as file:
    file.write(str(stopped))
os.rename(sys.argv[2] + ".new", sys.argv[2])
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b".")
        time.sleep(0.0005)
"""
