"""cubecli: the command line for people and their scripts.

Here belong the commands (one file each, in `commands`), what they share to reach the agent, and how
answers and failures are shown. It speaks the native API only: ttrpc to an agent's local socket,
gRPC to any other address. It imports nothing of the agent but the generated messages, the version
and the default places. Imported by nobody.
"""
