import json
import re
from pathlib import Path

import pytest

from realtime.report import machine

RESULTS = sorted((Path(__file__).parents[2] / "benchmarks/results").glob("*.json"))


def systems():
    for path in RESULTS:
        document = json.loads(path.read_text())
        if isinstance(document, dict):
            yield pytest.param(document["machine"]["system"], id=path.stem)


@pytest.mark.parametrize("system", [*systems(), pytest.param(machine()["system"], id="this machine")])
def test_a_system_is_named_by_its_major_and_minor_version_only(system):
    assert re.fullmatch(r"\w+( \d+(\.\d+)?)?", system)
