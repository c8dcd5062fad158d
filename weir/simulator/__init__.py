"""A seeded simulator of card transactions with three fraud patterns.

The idea of simulating customers, terminals and labelled fraud scenarios is that of Le Borgne,
Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection -
Practical Handbook" (ULB, 2022). The model and the code here are Weir's own.
"""

from weir.simulator.fraud import FraudPattern
from weir.simulator.settings import SimulatorSettings
from weir.simulator.transactions import CURRENCY, SCHEMA, simulate

__all__ = ["CURRENCY", "SCHEMA", "FraudPattern", "SimulatorSettings", "simulate"]
