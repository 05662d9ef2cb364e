"""What README says of the shipped weights is what lies with them."""

import re
from pathlib import Path

import pytest

from engines import load_checkpoint, shipped_tiers
from realtime.doctor import scores_in_brief

README = Path(__file__).parents[2] / "README.md"
ROW = r"^\| `(?P<tier>[\w-]+)` \| (?P<parameters>[\d,]+) \| (?P<frames>\d+) \| (?P<gains>\+[^|]+?) \|"
ROWS = {row["tier"]: row for row in re.finditer(ROW, README.read_text(), re.MULTILINE)}


def test_readme_lists_every_tier():
    assert sorted(ROWS) == sorted(shipped_tiers())


@pytest.mark.parametrize("tier", shipped_tiers())
def test_readme_says_what_the_record_says(tier):
    checkpoint = load_checkpoint(tier)

    assert int(ROWS[tier]["parameters"].replace(",", "")) == sum(t.size for t in checkpoint.tensors.values())
    assert int(ROWS[tier]["frames"]) == checkpoint.config.frames
    assert re.findall(r"\+\d\.\d\d", ROWS[tier]["gains"]) == re.findall(
        r"\+\d\.\d\d", scores_in_brief(checkpoint.record)
    )
