"""Cubelet: a node agent for pausable sandboxes.

Here stands only the version. The rooms, from the inside out: `core` decides, `engine` does,
`store` and `runtime` reach the disk and the shims, `rpc` and `cli` speak to people and masters,
`app` puts all together and is imported by nobody.
"""

__version__ = "0.1.0"
