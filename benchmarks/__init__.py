"""Measurements, one file a claim: `python -m benchmarks NAME` runs one and keeps its result as JSON."""
