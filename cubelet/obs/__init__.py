"""What operators see: the set-up of structured logs, and every metric, declared in one place.

Rooms take a logger from structlog and the `Metrics` that app made; nothing here decides or does
anything. Every package but `core` may import it; it imports no other room of cubelet.
"""
