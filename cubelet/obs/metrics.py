"""Every metric of the agent; the store's are listed beside, in `store_series`.

Label sets are closed: a method, an outcome, a cause, never a sandbox.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cubelet.obs.store_series import StoreFigures, StoreSeries

#: From a read out of memory (1 ms) to a create that takes all of its minute.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The series, on a registry of their own, so that a test or a second agent shares nothing."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rpc_requests = Counter(
            "cubelet_rpc_requests",
            "Finished requests by full method name and outcome (OK, CANCELLED or a reason).",
            ["method", "outcome"],
            registry=self.registry,
        )
        self.rpc_seconds = Histogram(
            "cubelet_rpc_seconds",
            "How long requests took, by full method name.",
            ["method"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.rpc_in_flight = Gauge(
            "cubelet_rpc_in_flight",
            "Requests that are being answered now.",
            registry=self.registry,
        )

    def watch_store(self, figures: StoreFigures) -> None:
        """Show the store's series too; once."""
        self.registry.register(StoreSeries(figures))
