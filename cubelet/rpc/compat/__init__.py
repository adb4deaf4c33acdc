"""The master-compatible API: CubeSandbox's CubeboxMgr, wire-equal for the RPCs that it has.

One file per RPC. `answers` holds the codes as tables and sees to it that every reply has its `ret`;
`keys` has the names that are part of the contract. Codes, messages and their order are those of
CubeSandbox's Cubelet after its pull requests 404, 817 and 940.
"""
