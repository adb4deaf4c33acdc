"""The gRPC door: two APIs, one engine behind both.

`native` is cubelet.api.v1 with typed statuses; `compat` speaks CubeSandbox's CubeboxMgr, whose
errors travel inside the reply. Both are thin translations onto `engine.facade.Agent`: handlers
check, translate and wait, and hold no operation of their own. `gate` is the one interceptor,
`server` binds, drains and stops, `validate` knows every limit on what users send. Only `app` may
import this package.
"""
