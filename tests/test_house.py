"""The house itself: who imports whom, what is declared where, and that pixi.toml means what it says."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

# A unit of `litellama` (a module or a subpackage) may import its own layer and those below.
LAYERS: list[set[str]] = [
    {"config", "tokenizer", "sampling"},
    {"model"},
    {"quantize", "device"},
    {"decoding"},
    {"generate"},
    {"chat"},
    {"checkpoint", "tinytown"},
    {"serving", "hub", "footprint", "export", "explain"},
    {"data"},
    {"evaluation"},
    {"training"},
    {"scaling"},
    {"cli"},
    {"__main__"},
]
APP_LAYERS: list[set[str]] = [
    {"common"},
    {"models"},
    {"classroom"},
    {"chat", "attention", "step", "layers", "attribution", "intervene", "responsibility", "compare", "train"},
    {"server"},
    {"launch"},
    {"__main__"},
]
TABS = APP_LAYERS[3]
OPTIONAL = {  # the extra that brings their imports
    "litellama.plots": "lessons",
    "litellama.footprint.sensors": "app",
    "litellama.hub.client": "hub",
    "litellama.hub.fetch": "hub",
    "litellama.hub.listing": "hub",
    "litellama.hub.stream": "hub",
    "litellama.data.hub_corpora": "hub",
    "litellama.checkpoint.memory": "app",
}
ALONE = {"plots"}  # plain numbers in, figures out: imports no sibling
DISTRIBUTION = {
    "yaml": "pyyaml",
    "PIL": "pillow",
    "pynvml": "nvidia-ml-py",
}  # where the import's name is not the package's


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path for top in ("litellama", "app", "lessons") for path in sorted((ROOT / top).rglob("*.py"))
}


def absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """What `from ..x import y` takes y from: in litellama.training.loop, `..x` is litellama.x."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if is_package else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def imports(module: str, source: str, is_package: bool = False) -> set[str]:
    """Names of all modules that `source` imports, at its top or inside a function, ours as exactly as possible."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(node, module, is_package)
            inner = {f"{origin}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {origin}
    return found - {"__future__"}


def graph() -> dict[str, set[str]]:
    return {
        name: imports(name, path.read_text(encoding="utf-8"), path.name == "__init__.py")
        for name, path in MODULES.items()
    }


def unit(module: str) -> str:
    """litellama.training.loop -> training; the package's own `__init__` -> "" """
    return module.split(".")[1] if "." in module else ""


def layer(module: str) -> int:
    (found,) = [number for number, units in enumerate(LAYERS) if unit(module) in units]
    return found


def ours(names: set[str], top: str) -> set[str]:
    return {name for name in names if name.split(".")[0] == top}


# --- who may import whom ---------------------------------------------------------------------------------------------


def test_every_unit_has_its_place() -> None:
    placed = set().union(*LAYERS, ALONE, {""})
    assert {unit(name) for name in ours(set(MODULES), "litellama")} <= placed


def test_imports_point_downwards() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, names in graph().items()
        if importer.startswith("litellama.") and unit(importer) not in ALONE
        for imported in ours(names, "litellama")
        if unit(imported) != unit(importer) and unit(imported) and layer(imported) > layer(importer)
    ]
    assert wrong == []


def test_plots_knows_no_sibling() -> None:
    names = graph()
    assert not any(ours(names[module], "litellama") for module in names if unit(module) in ALONE)


def test_nothing_imports_the_app_or_the_lessons() -> None:
    wrong = [
        importer for importer, names in graph().items()
        if (not importer.startswith("app.") and importer != "app" and ours(names, "app"))
        or (not importer.startswith("lessons") and ours(names, "lessons"))
    ]  # fmt: skip
    assert wrong == []


def app_layer(module: str) -> int:
    (found,) = [number for number, rooms in enumerate(APP_LAYERS) if unit(module) in rooms]
    return found


def app_imports() -> Iterator[tuple[str, str]]:
    """Each module of the app with each of the app's modules that it imports, but for the packages' own names."""
    for importer, names in graph().items():
        for imported in ours(names, "app"):
            if unit(importer) and unit(imported):
                yield importer, imported


def test_every_room_of_the_app_has_its_place() -> None:
    assert {unit(name) for name in ours(set(MODULES), "app")} == set().union(*APP_LAYERS, {""})


def test_the_app_imports_downwards() -> None:
    """And so a tab imports no server, and what all tabs share knows no tab."""
    wrong = [f"{one} imports {other}" for one, other in app_imports() if app_layer(other) > app_layer(one)]
    assert wrong == []
    assert "app.chat.service" in {one for one, _ in app_imports()}, "the reader sees what tabs import"


def test_tabs_never_import_one_another() -> None:
    wrong = [
        f"{one} imports {other}" for one, other in app_imports()
        if unit(one) in TABS and unit(other) in TABS and unit(one) != unit(other)
    ]  # fmt: skip
    assert wrong == []


def test_the_roots_are_small() -> None:
    entries = {path.relative_to(ROOT).parts[1] for path in (ROOT / "app").iterdir() if path.name != "__pycache__"}
    assert len(entries) <= 18, entries


def test_no_cycles() -> None:
    inside = {name: {imported for imported in names if imported in MODULES} for name, names in graph().items()}
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_imports_are_read_as_python_reads_them() -> None:
    """The reader above is what the tests above rest on."""
    source = "import torch.nn\ndef f():\n    from . import model\n    from .config import PRESETS\n"
    assert imports("litellama.generate", source) == {"torch.nn", "litellama.model", "litellama.config"}
    assert imports("litellama.generate", "from litellama import model, __version__") == {"litellama.model"}
    assert imports("litellama.training.loop", "from ..config import ModelConfig") == {"litellama.config"}
    assert imports("litellama.training", "from .config import x", is_package=True) == {"litellama.training.config"}


# --- what is declared ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def pixi() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pixi.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """The pinned set: {"torch": "2.13.0", ...}; every line must be NAME==VERSION."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def third_party(top: str, within: str = "") -> Iterator[tuple[str, str]]:
    for importer, names in graph().items():
        for name in names if importer.split(".")[0] == top and importer.startswith(within) else ():
            first = name.split(".")[0]
            if first not in sys.stdlib_module_names and first not in ("litellama", "app", "lessons"):
                yield importer, canonicalize_name(DISTRIBUTION.get(first, first))


@pytest.mark.parametrize(("top", "extra"), [("litellama", None), ("app", "app"), ("lessons", "lessons")])
def test_only_declared_packages_are_imported(project: dict[str, Any], top: str, extra: str | None) -> None:
    def declared(extra: str | None) -> set[str]:
        lines = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
        return {canonicalize_name(Requirement(line).name) for line in lines}

    for importer, name in third_party(top):
        assert name in declared(OPTIONAL.get(importer, extra)), (importer, name)


def test_the_package_does_without_plotly() -> None:
    assert [
        importer for importer, names in graph().items()
        if "litellama.plots" in names and not importer.startswith("lessons.")
    ] == []  # fmt: skip


def test_core_is_small_and_the_extras_are_these(project: dict[str, Any]) -> None:
    core = {Requirement(line).name for line in project["dependencies"]}
    assert core == {"torch", "tokenizers", "safetensors", "numpy", "rich", "typer", "jinja2", "gguf"}
    extras = {"app", "lessons", "hub", "tracking", "bench", "dev"}
    assert set(project["optional-dependencies"]) == extras


def test_the_app_can_fetch_models(project: dict[str, Any]) -> None:
    lines = [*project["optional-dependencies"]["app"], *project["dependencies"]]
    brought = {canonicalize_name(Requirement(line).name) for line in lines}
    assert {name for _, name in third_party("litellama", within="litellama.hub")} <= brought


def test_pins_satisfy_pyproject(project: dict[str, Any], pins: dict[str, str]) -> None:
    for line in [*project["dependencies"], *(x for extra in project["optional-dependencies"].values() for x in extra)]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), line


def test_the_version_is_the_packages(project: dict[str, Any]) -> None:
    import litellama

    assert project["version"] == litellama.__version__


# --- pixi.toml -------------------------------------------------------------------------------------------------------


def pypi_tables(pixi: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """pixi.toml's tables of PyPI requirements by where they stand: "default", "target linux-64-cpu", "app", ..."""
    tables = {"default": pixi["pypi-dependencies"]}
    tables |= {f"target {name}": target["pypi-dependencies"] for name, target in pixi["target"].items()}
    return tables | {name: feature["pypi-dependencies"] for name, feature in pixi["feature"].items()}


def commands(pixi: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, task in pixi["tasks"].items():
        if "cmd" in task:
            yield name, shlex.split(task["cmd"]) if isinstance(task["cmd"], str) else task["cmd"]


def test_pixi_schema(pixi: dict[str, Any]) -> None:
    path = os.environ.get("LITELLAMA_PIXI_SCHEMA")
    if not path:
        pytest.skip("LITELLAMA_PIXI_SCHEMA names no copy of pixi's JSON schema")
    import jsonschema

    schema = json.loads(Path(path).read_text(encoding="utf-8"))
    jsonschema.validate(pixi, schema)
    with pytest.raises(jsonschema.ValidationError):  # the schema is lax; at least it looks
        jsonschema.validate({**pixi, "enviroments": {}}, schema)


def test_pixi_versions_are_the_pinned_ones(pixi: dict[str, Any], pins: dict[str, str]) -> None:
    for place, table in pypi_tables(pixi).items():
        for name, wanted in table.items():
            if "path" not in wanted:
                version = wanted["version"] if isinstance(wanted, dict) else wanted
                assert version == f"=={pins[canonicalize_name(name)]}", f"{name} in {place}"


def test_pixi_features_are_the_extras(pixi: dict[str, Any], project: dict[str, Any]) -> None:
    """`run` installs the extras that bear the names of a task's features, so both must list the same packages."""
    tables = pypi_tables(pixi)
    core = set(tables["default"]) - {project["name"]}
    assert core == {Requirement(line).name for line in project["dependencies"]}
    assert set(pixi["feature"]) == set(project["optional-dependencies"])
    for extra, lines in project["optional-dependencies"].items():
        assert set(tables[extra]) == {Requirement(line).name for line in lines}, extra


def test_pixi_environments_and_targets_are_real(pixi: dict[str, Any]) -> None:
    for name, environment in pixi["environments"].items():
        assert set(environment["features"]) <= set(pixi["feature"]), name
    platforms = pixi["workspace"]["platforms"]
    names = [platform if isinstance(platform, str) else platform["name"] for platform in platforms]
    assert set(pixi["target"]) <= set(names)
    linux = [platform for platform in platforms if isinstance(platform, dict) and platform["platform"] == "linux-64"]
    assert ["cuda" in platform for platform in linux] == [True, False], "the first platform that fits is taken"


def test_pixi_python_is_pyprojects(pixi: dict[str, Any], project: dict[str, Any]) -> None:
    assert pixi["dependencies"]["python"].split(",")[0] == project["requires-python"]


def test_pixi_tasks_are_the_readmes(pixi: dict[str, Any]) -> None:
    visible = {name: task for name, task in pixi["tasks"].items() if not name.startswith("_")}
    assert set(visible) == {"app", "models", "lab", "train", "test", "lint"}
    assert all(task["description"] for task in visible.values())


def test_pixi_tasks_say_only_what_run_understands(pixi: dict[str, Any]) -> None:
    for name, task in pixi["tasks"].items():
        assert set(task) <= {"cmd", "depends-on", "description", "default-environment"}, name
        assert task["default-environment"] in pixi["environments"], name
        assert set(task.get("depends-on", [])) <= set(pixi["tasks"]), name
        # `run` starts programs without a shell, pixi with one: only words that mean the same to both.
        assert "cmd" not in task or re.fullmatch(r"[\w =./:-]+", task["cmd"]), name


def test_pixi_tasks_run_real_programs(pixi: dict[str, Any]) -> None:
    programs = set()
    for name, command in commands(pixi):
        if command[:2] != ["python", "-m"]:
            programs.add(command[0])
            continue
        module = command[2]
        if (ROOT / module).is_dir():
            assert (ROOT / module / "__main__.py").is_file(), name
        else:
            assert importlib.util.find_spec(module), name
    assert programs == {"ruff", "mypy"}  # both pinned in the extra `dev`, which these tasks' environment holds


# --- what may be committed -------------------------------------------------------------------------------------------


def tracked_texts() -> Iterator[tuple[str, str]]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("this copy is no git checkout, so what is committed can't be told")
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix not in {".safetensors", ".png", ".woff2", ".model"}:
            yield name, path.read_text(encoding="utf-8")


def test_no_path_of_somebodys_machine_is_committed() -> None:
    own = re.compile(r"""(?<![\w.~$}])(?:/(?:work|root|home|Users|farm)/\w+|[A-Z]:\\+Users)""")
    found = [f"{name}: {match[0]}" for name, text in tracked_texts() for match in own.finditer(text)]
    assert found == []


def test_the_house_names_no_host_but_torchs() -> None:
    files = ["pixi.toml", "pyproject.toml", "requirements.txt", "run", ".ci/run"]
    hosts = [host for name in files for host in re.findall(r"https?://([\w.-]+)", (ROOT / name).read_text("utf-8"))]
    assert set(hosts) == {"download.pytorch.org"}


def test_scripts_may_be_executed() -> None:
    listing = subprocess.run(["git", "ls-files", "-s", "run", ".ci/run"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("this copy is no git checkout")
    assert [line.split()[0] for line in listing.stdout.splitlines()] == ["100755", "100755"]
