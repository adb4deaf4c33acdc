"""The engine: runs the core's decisions against the world.

Here belong one worker (task and bounded inbox) per sandbox, the executor of effects, the supervisor
that owns every background task, and the ports: the Protocols of what the engine needs from the
outside. It knows asyncio and the core, nothing of gRPC, SQLite or shims; adapters in `store` and
`runtime` implement its ports, `rpc` calls its facade, `app` wires them.
"""
