"""The test build of the agent, which can be killed at its crash points; scripts/crash drives it.

* `agent`: `python -m tests.crash.agent serve …`, the daemon with its points armed;
* `grammar`: the language in which it is told what to do at which point;
* `points`: what each point does when it is reached, and what was reached;
* `census`: all points of the code.
"""
