"""cubecli: the command line for people and their scripts.

Here belong the commands (one file each, in `commands`), what they share to reach the agent, and how
answers and failures are shown. It speaks the native gRPC API only and imports nothing of the agent
but the generated stubs, the version and the default socket's place. Imported by nobody.
"""
