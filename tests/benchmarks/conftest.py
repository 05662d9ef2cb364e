"""Benchmarks are scripts: what they share lies beside them, as it does when they are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
