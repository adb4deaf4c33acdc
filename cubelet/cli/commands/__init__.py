"""One file per command, each with one `command`; imported when it is called, never before."""
