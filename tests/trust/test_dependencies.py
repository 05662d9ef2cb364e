"""What is imported is declared, and why each dependency is there is said."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
OURS = {"realtime", "engines", "train"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED, TORCH = ROOT / ".ci/locked.txt", ROOT / ".ci/torch.txt"
OF_CLIENTS = {"lpips", "tensorrt"}
"""Imported only where a person has installed them, and passed over elsewhere."""


def normal(name):
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements():
    """Names of the distributions that pyproject.toml requires, with those of the optional features."""
    listed = [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]
    return {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in listed}


def of_extra(extra):
    """What an optional feature requires, with what the features that it includes require."""
    found = []
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        ours = normal(requirement.name) == PROJECT["name"]
        found += [r for each in sorted(requirement.extras) for r in of_extra(each)] if ours else [requirement]
    return found


def imported(path):
    """Top names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(OURS))
def test_what_is_imported_is_declared(package):
    providers = packages_distributions()
    found = {
        name: path
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in imported(path) - OURS - sys.stdlib_module_names
    }
    undeclared = {
        name: str(path.relative_to(ROOT))
        for name, path in found.items()
        if name not in OF_CLIENTS and not {normal(p) for p in providers.get(name, [name])} & requirements()
    }

    assert found
    assert not undeclared


def test_every_dependency_says_why_it_is_there():
    text = (ROOT / "pyproject.toml").read_text()
    listed = text.split("dependencies = [", 1)[1].split("\n]", 1)[0].strip().splitlines()

    assert len(listed) == len(PROJECT["dependencies"])
    assert [line for line in listed if not re.search(r'",\s+# \w.{5,}', line)] == []


def test_nothing_is_unpickled():
    """Weights, messages and caches come from elsewhere, and a pickle runs what it likes."""
    found = [
        str(path.relative_to(ROOT))
        for package in ("realtime", "engines")
        for path in (ROOT / package).rglob("*.py")
        if imported(path) & {"pickle", "marshal", "shelve", "dill", "joblib"}
    ]

    assert found == []


def test_every_requirement_is_locked_for_ci_to_a_version_that_it_allows():
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCKED.read_text() + TORCH.read_text(), re.MULTILINE))
    wanted = [*map(Requirement, PROJECT["dependencies"]), *of_extra("dev")]

    assert [str(r) for r in wanted if not r.specifier.contains(locked.get(normal(r.name), "0"))] == []


def test_what_ci_installs_is_locked_to_its_very_bytes_but_for_torch():
    lines = [line for line in LOCKED.read_text().splitlines() if not line.startswith("#")]
    entries = " ".join(line.removesuffix("\\").strip() for line in lines)
    hashed = re.findall(r"([\w.-]+)==[\w.+]+(?: --hash=sha256:[0-9a-f]{64})+", entries)

    assert hashed == re.findall(r"([\w.-]+)==", entries)
    assert "numpy" in hashed
    assert "torch" not in hashed
    assert re.findall(r"^\w+", TORCH.read_text(), re.MULTILINE) == ["torch"]
