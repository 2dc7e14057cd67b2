"""Keeps the promises of the project's design: folders, names, sizes, directions of import, and what is never here."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from tests.tree import ROOT, definitions, imports, parsed, tracked

TOP = {
    ".ci", ".github", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "deploy", "docs",
    "environment.yml", "experiments", "kernels", "notebooks", "pyproject.toml", "reports", "rx580lab", "tests",
}  # fmt: skip
# High to low; what stands in one row does not import each other.
LAYERS = (
    ("cli", "jupyter", "widgets"),
    ("experiment",),
    ("tune", "report", "loadgen", "security", "peers"),
    ("measure",),
    ("serve",),
    ("quantize",),
    ("models",),
    ("graph", "polaris"),
    ("selftest",),
    ("ops",),
    ("compile",),
    ("device",),
    ("formats", "reference", "results"),
    ("errors",),
)
KINDS = r"(bench|load|security)"
PLACES = {
    "kernels": r"kernels/([a-z0-9_]+\.cl|include/[a-z0-9_]+\.h|tuned/[a-z0-9._-]+\.json)",
    "notebooks": rf"notebooks/(tour|{KINDS})/[a-z0-9_-]+\.ipynb",
    "experiments": rf"experiments/(schema\.json|{KINDS}/[a-z0-9_-]+\.yml)",
    "docs": r"docs/(ops|operators|serve)\.md",
    "reports": r"reports/baseline/[a-z0-9_-]+\.json",
}
NEVER_IN_A_NAME = {"optimized", "ultra", "fast", "new", "v2", "final", "production", "manager", "helper", "utils"}
# Modules of ops/ and reference/ that serve every op.
SHARED_BY_OPS = {"__init__", "epilogue", "plan", "sizing", "walk", "indices"}
SHARED_BY_ORACLES = {"__init__", "compare", "epilogue"}
MOST_LINES = {".py": 400, ".cl": 300, ".h": 300}
MOST_LINES_OF_A_FUNCTION = 60
BINARY = {".png", ".gz", ".npz", ".onnx", ".gguf", ".safetensors"}

PACKAGE = tracked("rx580lab/*.py")
PYTHON = tracked("*.py")


def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_top_level_holds_only_what_the_design_names() -> None:
    assert {path.parts[0] for path in tracked()} <= TOP


def test_the_only_pages_are_readme_and_changelog_and_the_generated_lists() -> None:
    generated = {"docs/ops.md", "docs/operators.md", "docs/serve.md"}
    assert {str(path) for path in tracked("*.md", "*.rst")} - generated == {"README.md", "CHANGELOG.md"}


@pytest.mark.parametrize("folder", sorted(PLACES))
def test_each_kind_of_file_lies_in_its_place(folder: str) -> None:
    misplaced = [str(path) for path in tracked(f"{folder}/*") if not re.fullmatch(PLACES[folder], path.as_posix())]
    assert misplaced == []


def test_modules_are_those_of_the_design() -> None:
    designed = {name for layer in LAYERS for name in layer}
    present = {path.parts[1].removesuffix(".py") for path in PACKAGE} - {"__init__", "__main__"}
    assert present <= designed


def test_each_package_has_an_init_and_a_test() -> None:
    folders = {path.parent for path in PACKAGE}
    assert [str(folder) for folder in folders if folder / "__init__.py" not in PACKAGE] == []
    tested = {path.parts[1] for path in tracked("tests/*/test_*.py")}
    assert {folder.parts[1] for folder in folders if len(folder.parts) > 1} - tested == set()


def test_nothing_is_empty() -> None:
    may_be_empty = {"py.typed", "__init__.py"}
    empty = [str(path) for path in tracked() if not text_or_bytes(path).strip() and path.name not in may_be_empty]
    assert empty == []


def text_or_bytes(path: Path) -> bytes:
    return (ROOT / path).read_bytes()


@pytest.mark.parametrize("path", PACKAGE, ids=str)
def test_no_stub(path: Path) -> None:
    tree = parsed(path)
    declared = {id(part) for protocol in protocols(tree) for part in protocol.body}
    assert [node.name for node in definitions(tree) if id(node) not in declared and is_stub(node)] == []


def protocols(tree: ast.Module) -> list[ast.ClassDef]:
    """Classes that derive from ``typing.Protocol``, by whatever name: their members are types, without a body."""
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "typing"]
    names = {alias.asname or alias.name for node in imported for alias in node.names if alias.name == "Protocol"}
    classes = [node for node in definitions(tree) if isinstance(node, ast.ClassDef)]
    return [node for node in classes if any(isinstance(base, ast.Name) and base.id in names for base in node.bases)]


def is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """A function that does nothing, or says that it is not implemented.

    One that does nothing on purpose returns None and takes nothing, or names what it takes ``_``.
    """
    if isinstance(node, ast.ClassDef):
        return False
    body = [line for line in node.body if not is_docstring(line)]
    does_nothing = all(isinstance(line, ast.Pass) or is_ellipsis(line) for line in body)
    returns_nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
    on_purpose = returns_nothing and all(argument.arg.startswith("_") for argument in node.args.args)
    refuses = any(isinstance(part, ast.Name) and part.id == "NotImplementedError" for part in ast.walk(node))
    return (does_nothing and not on_purpose) or refuses


def is_ellipsis(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and line.value.value is Ellipsis


def is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def shared(path: Path, names: set[str]) -> bool:
    """Whether a module serves many ops, or is a private part of one: ``_gemm_tiles.py``."""
    return path.stem in names or any(path.stem.startswith(f"_{op.stem}_") for op in path.parent.glob("[a-z]*.py"))


def op_names() -> list[str]:
    return sorted(path.stem for path in tracked("rx580lab/ops/*.py") if not shared(path, SHARED_BY_OPS))


@pytest.mark.parametrize("op", op_names())
def test_an_op_is_four_files_with_one_stem(op: str) -> None:
    files = [f"kernels/{op}.cl", f"rx580lab/ops/{op}.py", f"rx580lab/reference/{op}.py", f"tests/ops/test_{op}.py"]
    assert [name for name in files if Path(name) not in tracked()] == []


def test_each_kernel_and_each_oracle_belongs_to_an_op() -> None:
    ops = op_names()
    kernels = [path.stem for path in tracked("kernels/*.cl")]
    assert [name for name in kernels if not any(name == op or name.startswith(f"{op}_") for op in ops)] == []
    oracles = {path.stem for path in tracked("rx580lab/reference/*.py") if not shared(path, SHARED_BY_ORACLES)}
    assert oracles == set(ops)


def test_the_registry_knows_each_op() -> None:
    import rx580lab as rx

    assert sorted(spec.name for spec in rx.ops.specs()) == op_names()


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_names_of_files_say_what_is_inside() -> None:
    assert [str(path) for path in tracked() if any(words(part) & NEVER_IN_A_NAME for part in path.parts)] == []


@pytest.mark.parametrize("path", PACKAGE, ids=str)
def test_names_of_definitions_say_what_they_are(path: Path) -> None:
    named = [node.name for node in definitions(parsed(path)) if not node.name.startswith("__")]
    assert [name for name in named if words(name) & NEVER_IN_A_NAME] == []


@pytest.mark.parametrize("path", tracked("*.py", "*.cl", "*.h"), ids=str)
def test_a_file_is_one_room(path: Path) -> None:
    assert len(text_of(path).splitlines()) <= MOST_LINES[path.suffix]


@pytest.mark.parametrize("path", PYTHON, ids=str)
def test_a_function_can_be_seen_at_once(path: Path) -> None:
    long = {node.name: n for node in definitions(parsed(path)) if (n := n_lines(node)) > MOST_LINES_OF_A_FUNCTION}
    assert long == {}


def n_lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Lines of a function without decorators and docstring; 0 for a class, whose methods count one by one."""
    if isinstance(node, ast.ClassDef):
        return 0
    first = node.body[0]
    documentation = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring(first) else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - documentation


@pytest.mark.parametrize("path", PACKAGE, ids=str)
def test_only_device_and_compile_import_pyopencl(path: Path) -> None:
    if path.parts[1] not in {"device", "compile"}:
        assert [name for name in imports(parsed(path)) if name.split(".")[0] == "pyopencl"] == []


@pytest.mark.parametrize("path", tracked("rx580lab/reference/*.py"), ids=str)
def test_an_oracle_never_imports_what_it_judges(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "numpy"}
    foreign = [name for name in imports(parsed(path)) if name.split(".")[0] not in allowed]
    assert [name for name in foreign if not name.startswith(("rx580lab.reference", "rx580lab.errors"))] == []


@pytest.mark.parametrize("path", tracked("rx580lab/report/*.py"), ids=str)
def test_report_reads_only_results(path: Path) -> None:
    ours = [name for name in imports(parsed(path)) if name.split(".")[0] == "rx580lab"]
    allowed = ("rx580lab.report", "rx580lab.results", "rx580lab.errors")
    assert [name for name in ours if not name.startswith(allowed)] == []


def test_the_layers_of_the_linter_are_those_of_the_design() -> None:
    settings = tomllib.loads(text_of(Path("pyproject.toml")))["tool"]["importlinter"]
    layers = next(contract for contract in settings["contracts"] if contract["type"] == "layers")
    assert layers["exhaustive"] is True
    assert settings["exclude_type_checking_imports"] is True
    rows = [row.split(" | ") for row in layers["layers"]]
    assert [tuple(name.strip("()") for name in row) for row in rows] == list(LAYERS)
    present = {path.parts[1].removesuffix(".py") for path in PACKAGE}
    built = {name for row in rows for name in row if not name.startswith("(")}
    assert built == present - {"__init__", "__main__"}, "a layer is in parentheses until it is built, and only then"


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    project = tomllib.loads(text_of(Path("pyproject.toml")))["project"]
    core = {distribution(line) for line in project["dependencies"]}
    # Parts that come with an extra of their own, and are loaded only where it is there.
    parts = {"lab": {"jupyter", "widgets"}, "serve": {"serve"}}
    apart = {extra: tuple(path for path in PACKAGE if path.parts[1] in names) for extra, names in parts.items()}
    rest = tuple(path for path in PACKAGE if not any(path in paths for paths in apart.values()))
    assert imported_distributions(rest) == core
    extras = {
        name: {distribution(line) for line in lines} - {"rx580lab"}
        for name, lines in project["optional-dependencies"].items()
    }
    # Its files are served as data; none of its code is imported.
    unnamed = {"serve": {"flask-openapi-swagger"}}
    for extra, paths in apart.items():
        assert imported_distributions(paths) - core == extras[extra] - unnamed.get(extra, set())
    assert imported_distributions(tracked("tests/*.py")) <= core.union(*extras.values())


def distribution(requirement: str) -> str:
    """The normalized name of ``Some_Package[extra]>=1.2``."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ]", requirement)[0]).lower()


def imported_distributions(paths: tuple[Path, ...]) -> set[str]:
    providers = packages_distributions()
    modules = {name.split(".")[0] for path in paths for name in imports(parsed(path))}
    foreign = modules - sys.stdlib_module_names - {"rx580lab", "tests"}
    return {distribution(providers[module][0]) for module in foreign}


def test_the_conda_environment_agrees_with_pyproject() -> None:
    project = tomllib.loads(text_of(Path("pyproject.toml")))["project"]
    environment = yaml.safe_load(text_of(Path("environment.yml")))
    lowest = project["requires-python"].removeprefix(">=")
    assert environment["name"] == project["name"]
    assert environment["dependencies"] == [f"python={lowest}", "pip", {"pip": ["-e .[lab]"]}]
    assert "lab" in project["optional-dependencies"]


@pytest.mark.parametrize("path", tracked("experiments/*.yml"), ids=str)
def test_an_experiment_is_named_as_its_file_and_its_notebook_exists(path: Path) -> None:
    spec = yaml.safe_load(text_of(path))
    assert spec["name"] == path.stem
    assert (ROOT / path.parent / spec["notebook"]).resolve().relative_to(ROOT) in tracked("notebooks/*.ipynb")


# Written in parts, so that this file does not name what it forbids.
FORBIDDEN_TEXT = {
    "a path of one machine": r"(?<![\w.~}])/(ro" + r"ot|ho" + r"me/\w+|wo" + r"rk)/",
    "the host of a package registry": r"py" + r"pi\.org|pythonh" + r"osted|npm" + r"js\.|deb\.deb" + r"ian\.org",
    "a failure that is swallowed": r"\|\| tr" + r"ue\b",
    "something unfinished": r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN_TEXT))
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN_TEXT[what])
    texts = [path for path in tracked() if path.suffix not in BINARY]
    found = [f"{path}: {match.group()}" for path in texts if (match := pattern.search(text_of(path)))]
    assert found == []


@pytest.mark.parametrize("path", tracked("tests/*.py"), ids=str)
def test_a_test_is_skipped_only_by_require(path: Path) -> None:
    if path != Path("tests/requirements.py"):
        ways_out = re.compile(r"pytest\.(sk" + r"ip|xf" + r"ail|importorsk" + r"ip)|mark\.(sk" + r"ip|xf" + r"ail)")
        assert ways_out.findall(text_of(path)) == []
