"""What is imported is declared, and why each dependency is there is said."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
OURS = {"realtime", "engines", "train"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED, TORCH = ROOT / ".ci/locked.txt", ROOT / ".ci/torch.txt"
OF_CLIENTS = {"lpips", "tensorrt"}
"""Imported only where a person has installed them, and passed over elsewhere."""
OPTIONAL = {
    "engines": ["onnx"],
    "realtime": ["lsl", "virtualcam"],
    "realtime/examples": ["examples"],
    "train": ["train"],
}
"""Which optional features' requirements a folder may import, too."""
PICKLERS = {"pickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
LOADERS = {"pickle", "torch", "numpy"}
"""Imported whole and under no other name than np, or a call of their load() would not be seen."""
PICKLING = {"recv_pyobj", "send_pyobj", "read_pickle", "to_pickle"}


def normal(name):
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(path):
    """Names of the distributions that a file may import."""
    extras = [extra for folder, extras in OPTIONAL.items() if (ROOT / folder) in path.parents for extra in extras]
    allowed = [*map(Requirement, PROJECT["dependencies"]), *(r for extra in extras for r in of_extra(extra))]
    return {normal(requirement.name) for requirement in allowed}


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
    undeclared = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in imported(path) - OURS - OF_CLIENTS - sys.stdlib_module_names
        if not {normal(p) for p in providers.get(name, [name])} & requirements(path)
    ]

    assert undeclared == []


def test_what_only_an_optional_feature_brings_is_not_for_every_folder():
    assert "pandas" in requirements(ROOT / "realtime/examples/table.py")
    assert not {"pandas", "matplotlib", "onnx"} & requirements(ROOT / "realtime/daemon.py")
    assert "pylsl" not in requirements(ROOT / "engines/load.py")


def test_every_dependency_says_why_it_is_there():
    text = (ROOT / "pyproject.toml").read_text()
    core = text.split("dependencies = [", 1)[1].split("\n]", 1)[0]
    extras = text.split("[project.optional-dependencies]", 1)[1].split("\n[", 1)[0]
    listed = [line for line in (core + extras).splitlines() if '"' in line]

    assert len(listed) == len(PROJECT["dependencies"]) + sum(map(len, PROJECT["optional-dependencies"].values()))
    assert [line for line in listed if not re.search(r'",\s+# \w.{5,}', line)] == []


def unpickling(code):
    """What in it unpickles, or could: each as it is written."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(code)) if unpickles(node)]


def unpickles(node):
    match node:
        case ast.Import(names=names):
            hidden = any(alias.name in LOADERS and alias.asname not in (None, "np") for alias in names)
            return hidden or any(alias.name.split(".")[0] in PICKLERS - {"pickle"} for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            taken = {alias.name for alias in names}
            top = module.split(".")[0]
            return top in PICKLERS or bool(taken & PICKLING) or (top in LOADERS and "load" in taken)
        case ast.Attribute(value=ast.Name(id="pickle"), attr=attr):
            return attr != "UnpicklingError"
        case ast.Attribute(attr=attr):
            return attr in PICKLING
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), keywords=keywords):
            return not any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in keywords)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="load"), args=args) if len(args) > 2:
            return True
        case ast.keyword(arg="allow_pickle", value=value):
            return ast.unparse(value) != "False"
    return False


@pytest.mark.parametrize(
    "code",
    [
        "import dill",
        "import joblib.numpy_pickle as loads",
        "from pickle import loads",
        "import _pickle",
        "import pickle as p\np.load(file)",
        "import torch as t\nt.load(path)",
        "from torch import load",
        "from numpy import load as read",
        "from pandas import read_pickle",
        "import pickle\npickle.load(file)",
        "socket.recv_pyobj()",
        "pd.read_pickle(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, None, True)",
        "np.load(path, allow_pickle=trusted)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
    ],
)
def test_what_unpickles_is_found(code):
    assert unpickling(code)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\ntry: f()\nexcept pickle.UnpicklingError: pass",
        "import numpy as np\nnp.load(path, 'r')",
        "from torch import Tensor, nn",
        "np.load(path, allow_pickle=False)",
        "torch.load(path, map_location='cpu', weights_only=True)",
        "json.load(file)",
    ],
)
def test_what_does_not_unpickle_is_left_alone(code):
    assert unpickling(code) == []


@pytest.mark.parametrize("package", sorted(OURS))
def test_nothing_is_unpickled(package):
    """Weights, messages and caches come from elsewhere, and a pickle runs what it likes."""
    files = sorted((ROOT / package).rglob("*.py"))

    assert [f"{path.relative_to(ROOT)}: {what}" for path in files for what in unpickling(path.read_text())] == []


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


def test_what_torch_needs_is_locked_but_for_nvidias_libraries():
    needed = [r for r in map(Requirement, requires("torch")) if r.marker is None or r.marker.evaluate({"extra": ""})]
    locked = {normal(name) for name in re.findall(r"^([\w.-]+)==", LOCKED.read_text(), re.MULTILINE)}
    of_nvidia = re.compile(r"nvidia-|cuda-|triton")

    assert needed
    assert [r.name for r in needed if normal(r.name) not in locked and not of_nvidia.match(normal(r.name))] == []
