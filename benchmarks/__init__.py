"""Ratios against named peers, measured in the same run. `python -m benchmarks --help`; how: benchmarks/README.md."""
