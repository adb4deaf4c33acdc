"""The doors of the agent: two wires, two APIs, one engine behind them.

`native` is cubelet.api.v1 with typed statuses; `compat` speaks CubeSandbox's CubeboxMgr, whose
errors travel inside the reply. Both are thin translations onto `engine.facade.Agent`: handlers
check, translate and wait, and hold no operation of their own. `services` lists them, `grpc_door`
serves both APIs, `ttrpc_door` the native one to local callers. Every request passes `gate`,
whatever its wire; `server` opens, drains and stops both doors, and `validate` knows every limit on
what users send. Only `app` may import this package.
"""

from __future__ import annotations

import os

# Read by gRPC when it is first imported. The agent starts other programs (shims) but never goes on
# in Python after a fork, so gRPC need not stop its threads for each; its own log lines would pass
# our structured log by.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
