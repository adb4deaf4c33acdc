"""The store's series, read off whoever counts when asked for: counting costs a change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """Where each figure is to be had, from now on and at any time."""

    degraded: Callable[[], bool]
    #: What failed, by cause: a closed set of names.
    failures: Callable[[], Mapping[str, int]]
    transactions: Callable[[], int]
    #: Changes that found the queue to the disk full.
    turned_away: Callable[[], int]
    #: Rows that were dropped because of their age or number.
    retained: Callable[[], int]


class StoreSeries(Collector):
    """For the registry of `Metrics`."""

    def __init__(self, figures: StoreFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """All of them, as of now."""
        figures = self._figures
        yield GaugeMetricFamily(
            "cubelet_store_degraded",
            "1 while the store refuses changes, else 0.",
            value=int(figures.degraded()),
        )
        failures = CounterMetricFamily(
            "cubelet_store_failures",
            "What the store could not read or write, by SQLite's primary result code, or OTHER.",
            labels=["cause"],
        )
        for cause, count in figures.failures().items():
            failures.add_metric([cause], count)
        yield failures
        yield CounterMetricFamily(
            "cubelet_store_transactions",
            "Transactions that were committed; one holds all changes that waited together.",
            value=figures.transactions(),
        )
        yield CounterMetricFamily(
            "cubelet_store_turned_away",
            "Changes that were refused because too many waited for the disk already.",
            value=figures.turned_away(),
        )
        yield CounterMetricFamily(
            "cubelet_store_rows_dropped",
            "Rows of the journal, and kept answers, that went because of their age or number.",
            value=figures.retained(),
        )
