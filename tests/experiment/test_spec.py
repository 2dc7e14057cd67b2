from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab import measure
from rx580lab.errors import SpecError
from rx580lab.experiment import Spec, load_spec, spec_schema
from rx580lab.experiment.model import Protocol
from tests.experiment.conftest import PARAMETERS, write_notebook

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
HEAD = """\
schema_version: 1
name: toy
title: A toy
notebook: ../../notebooks/toy.ipynb
"""


def load(spec_file: Path, text: str, **arguments: Any) -> Spec:
    spec_file.write_text(HEAD + text)
    return load_spec(spec_file, **arguments)


def refusal(spec_file: Path, text: str, **arguments: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load(spec_file, text, **arguments)
    return caught.value


# Each text begins on line 5 of its file. Line 0: the problem is in an option, not in the file.
REFUSALS = [
    # keys
    ("unknown key", "gatez: []\n", 5, "unknown key 'gatez'; did you mean 'gates'?"),
    ("unknown nested key", "limits:\n  wall: 3\n", 6, "unknown key 'wall'; did you mean 'wall_s'?"),
    ("unknown bound", "params:\n  size:\n    mim: 3\n", 7, "unknown key 'mim'; did you mean 'min'?"),
    ("unknown protocol field", "protocol: {samples: 3}\n", 5, "unknown key 'samples'; did you mean 'n_samples'?"),
    ("unknown gate key", "gates:\n- {metric: a, kind: speed, minimum: 1}\n", 6, "did you mean 'min'?"),
    ("duplicate key", "params:\n  size: 3\n  size: 4\n", 7, "the key `size` is already on line 6"),
    ("duplicate top key", "title: B\n", 5, "the key `title` is already on line 3"),
    ("key of another type", "params:\n  no: 3\n", 6, "got `no`, which YAML reads as bool; quote it"),
    # parameter names
    ("misspelt parameter", "params:\n  sise: 3\n", 6, "no parameter 'sise'; did you mean 'size'?"),
    ("misspelt axis", "sweep:\n  behavior: [ok]\n", 6, "did you mean 'behaviour'?"),
    ("misspelt in point list", "sweep:\n- {size: 1}\n- {sizze: 2}\n", 7, "did you mean 'size'?"),
    ("misspelt in ci", "ci:\n  params:\n    siz: 1\n", 7, "did you mean 'size'?"),
    ("misspelt in where", "gates:\n- {metric: m, kind: speed, min: 1, where: {siz: 4}}\n", 6, "did you mean 'size'?"),
    ("undeclared protocol", "protocol:\n  min_effect: 0.1\n", 6, "the notebook has no parameter 'min_effect'"),
    ("undeclared verify", "verify: {rtol: 1.0e-6}\n", 5, "the notebook has no parameter 'rtol'"),
    ("code as name", 'params:\n  "x y;print(1)": 3\n', 6, "expected a Python identifier as parameter name"),
    ("code as axis", 'sweep:\n  "x y;print(1)": [3]\n', 6, "got 'x y;print(1)'"),
    ("keyword as name", "params:\n  class: 3\n", 6, "got the keyword 'class'"),
    ("name beyond ASCII", "params:\n  größe: 3\n", 6, "expected a Python identifier as parameter name"),
    # types
    ("text for int", "params:\n  size: many\n", 6, "size: expected an int, got str 'many'"),
    ("bool for int", "params:\n  size: true\n", 6, "size: expected an int, got bool True"),
    ("float for int", "params:\n  size: 4.0\n", 6, "expected an int, got float 4.0; write 4"),
    ("int for bool", "params:\n  check: 1\n", 6, "check: expected a bool (true or false), got int 1"),
    ("number for text", "params:\n  behaviour: 3\n", 6, "expected a str (text), got int 3; quote it"),
    ("null for int", "params:\n  size: null\n", 6, "size: expected an int, got null"),
    ("scalar for list", "params:\n  labels: a\n", 6, "labels: expected a list, got str 'a'"),
    ("wrong item", "params:\n  labels: [a, 3]\n", 6, "item 1: expected a str (text), got int 3"),
    ("wrong type in a sweep", "sweep:\n  size:\n  - 1\n  - two\n", 8, "size: expected an int, got str 'two'"),
    ("wrong type in ci", "ci:\n  sweep:\n    size: [a]\n", 7, "size: expected an int, got str 'a'"),
    ("scalar as sweep", "sweep:\n  size: 3\n", 6, "sweep.size: expected list, got 3"),
    ("empty axis", "sweep:\n  size: []\n", 6, "sweep.size"),
    ("declared type differs", "params:\n  size: {type: float}\n", 6, "expected the notebook's annotation, int"),
    ("text as limit", "limits:\n  retries: '3'\n", 6, 'limits.retries: expected integer, got "3"; remove the quotes'),
    ("wrong schema version", "", 1, "schema_version"),
    # YAML 1.1
    ("number without dot", "params:\n  scale: 1e3\n", 6, "YAML reads 1e3 as text: write 1000.0"),
    ("limit without dot", "limits:\n  wall_s: 1e3\n", 6, "YAML reads 1e3 as text: write 1000.0"),
    ("yes", "params:\n  check: yes\n", 6, "`yes` is read by YAML as a boolean; write true or false, or quote it"),
    ("octal", "params:\n  size: 010\n", 6, "`010` is read by YAML as octal 8"),
    ("base 60", "params:\n  behaviour: 12:30\n", 6, "`12:30` is read by YAML as a base-60 number"),
    ("date", "params:\n  behaviour: 2026-11-24\n", 6, "`2026-11-24` is read by YAML as a timestamp"),
    ("infinite", "params:\n  scale: .inf\n", 6, "expected a finite number, got .inf"),
    ("tag", "params:\n  size: !!python/object:os.system 3\n", 6, "write it in quotes"),
    ("set tag", "params: !!set {size}\n", 5, "expected plain YAML"),
    ("forced type", "params:\n  size: !!int many\n", 6, "`many` cannot be read as int"),
    ("nested too deep", f"params: {'[' * 3000}\n", 0, "nested too deep"),
    ("bad syntax", "params: {size: 3\n", 6, "not valid YAML"),
    ("tab", "params:\n\tsize: 3\n", 6, "not valid YAML"),
    ("control character", "question: a\x07b\n", 5, "not valid YAML"),
    ("two documents", "---\nname: b\n", 5, "not valid YAML"),
    ("node in itself", "params: &a\n  size: *a\n", 5, "nodes nested"),
    # bounds
    ("below min", "params:\n  size: {default: 1, min: 2}\n", 6, "size: expected at least 2, got 1"),
    ("above max", "params:\n  size: {default: 9, max: 8, unit: elements}\n", 6, "at most 8 elements, got 9"),
    ("not in enum", "params:\n  behaviour: {default: sing, enum: [ok, die]}\n", 6, "expected one of ok, die, got sing"),
    ("notebook's default", "params:\n  size: {min: 5}\n", 6, "the notebook's default is out of bounds"),
    ("axis out of bounds", "params:\n  size: {max: 8}\nsweep:\n  size: [4, 9]\n", 8, "expected at most 8, got 9"),
    ("ci out of bounds", "params:\n  size: {max: 8}\nci:\n  params: {size: 9}\n", 8, "expected at most 8, got 9"),
    ("bounds crossed", "params:\n  size: {min: 5, max: 4}\n", 6, "expected min <= max, got min 5 and max 4"),
    ("bounds on text", "params:\n  behaviour: {min: 5}\n", 6, "expected a number, since min or max is set"),
    ("negative limit", "limits: {retries: -1}\n", 5, "limits.retries"),
    # contradictions
    ("given twice", "params: {n_samples: 4}\nprotocol: {n_samples: 5}\n", 6, "'n_samples' is already given on line 5"),
    ("threads twice", "params: {threads: 1}\nresources: {threads: 2}\n", 6, "'threads' is already given on line 5"),
    ("point repeated", "sweep:\n- {size: 1}\n- {size: 1}\n", 5, "point 2 repeats point 1"),
    (
        "too many points",
        f"sweep:\n  size: {list(range(40))}\n  n_samples: {list(range(40))}\n",
        5,
        "at most 1000 points",
    ),
    ("gate without bound", "gates:\n- {metric: m, kind: speed}\n", 6, "expected min or max (or both), got neither"),
    ("gate without kind", "gates:\n- {metric: m, min: 1}\n", 6, "the key 'kind' is missing"),
    ("gate for no point", "gates:\n- {metric: m, kind: speed, min: 1, where: {size: 5}}\n", 6, "applies to no point"),
    ("where of another type", "gates:\n- {metric: m, kind: speed, min: 1, where: {size: a}}\n", 6, "expected an int"),
]


@pytest.mark.parametrize(("text", "line", "message"), [case[1:] for case in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_refused_with_file_and_line(spec_file: Path, text: str, line: int, message: str) -> None:
    if "schema_version" in message:
        spec_file.write_text(HEAD.replace("schema_version: 1", "schema_version: 2"))
        with pytest.raises(SpecError) as caught:
            load_spec(spec_file)
        error = caught.value
    else:
        error = refusal(spec_file, text)
    assert message in str(error)
    assert error.line == line
    assert str(error).startswith(f"[{spec_file}:{line}]" if line else f"[{spec_file}]")


OVERRIDE_REFUSALS = [
    ({"sise": "3"}, "--set sise: the notebook has no parameter 'sise'; did you mean 'size'?"),
    ({"x y;print(1)": "3"}, "--set x y;print(1): expected a Python identifier as parameter name"),
    ({"class": "3"}, "--set class: expected a Python identifier as parameter name, got the keyword"),
    ({"size": "many"}, "--set size: expected an int, got 'many'"),
    ({"size": "4.0"}, "--set size: expected an int, got '4.0'"),
    ({"size": "99"}, "--set size: size: expected at most 8, got 99"),
    ({"check": "yes"}, "--set check: expected true or false, got 'yes'"),
    ({"labels": "a"}, "--set labels: expected a list such as [a, b], got 'a'"),
    ({"behaviour": "[ok, 1"}, None),
]


@pytest.mark.parametrize(("overrides", "message"), OVERRIDE_REFUSALS)
def test_overrides_are_checked_like_the_file(spec_file: Path, overrides: dict[str, str], message: str | None) -> None:
    text = "params:\n  size: {max: 8}\n"
    if message is None:
        # Text is text, whatever it looks like: only a swept name takes a list.
        assert load(spec_file, text, overrides=overrides).points() == [{"behaviour": "[ok, 1"}]
        return
    error = refusal(spec_file, text, overrides=overrides)
    assert message in str(error)
    assert error.line == 0


def test_all_problems_are_told_at_once_first_line_first(spec_file: Path) -> None:
    error = refusal(spec_file, "sweep:\n  sise: [1]\nparams:\n  scale: x\n", overrides={"check": "no"})
    assert [line.split("]")[0] for line in str(error).splitlines()] == [
        f"[{spec_file}",
        f"[{spec_file}:6",
        f"[{spec_file}:8",
    ]


def test_points_are_the_product_of_the_axes_over_the_fixed_values(spec_file: Path) -> None:
    text = (
        "params: {scale: 2, labels: [x]}\nsweep: {size: [1, 2], behaviour: [ok, die]}\n"
        "protocol: {n_samples: 7}\ncontestants: [lab, numpy]\nresources: {threads: 2}\n"
    )
    fixed = {"scale": 2.0, "labels": ["x"], "n_samples": 7, "contestants": "lab,numpy", "threads": 2}
    assert load(spec_file, text).points() == [
        {**fixed, "size": size, "behaviour": behaviour} for size in (1, 2) for behaviour in ("ok", "die")
    ]
    assert isinstance(load(spec_file, text).points()[0]["scale"], float)


def test_explicit_points_and_ci_layers(spec_file: Path) -> None:
    text = (
        "params: {n_samples: {default: 9, max: 20}}\nsweep:\n- {size: 1}\n- {size: 2, scale: 0.5}\n"
        "ci:\n  params: {n_samples: 2}\n  sweep: {size: [3]}\n"
    )
    spec = load(spec_file, text)
    assert spec.points() == [{"n_samples": 9, "size": 1}, {"n_samples": 9, "size": 2, "scale": 0.5}]
    assert spec.points(ci=True) == [{"n_samples": 2, "size": 3}]
    assert spec.kind == "bench"
    assert spec.effective({"size": 3})["threads"] == 1


def test_overrides_replace_values_and_axes_in_their_own_type(spec_file: Path) -> None:
    text = "params: {behaviour: ok}\nsweep: {size: [1, 2]}\n"
    assert [p["size"] for p in load(spec_file, text, overrides={"size": "7"}).points()] == [7]
    assert [p["size"] for p in load(spec_file, text, overrides={"size": "[7, 8]"}).points()] == [7, 8]
    over = load(spec_file, text, overrides={"scale": "1e3", "check": "false", "behaviour": "12", "labels": "[1, b]"})
    expected = {"scale": 1000.0, "check": False, "behaviour": "12", "labels": ["1", "b"]}
    assert all(expected.items() <= point.items() for point in over.points())


def test_quoted_traps_are_text(spec_file: Path) -> None:
    points = load(spec_file, "sweep:\n  behaviour: ['yes', '12:30', \"010\", 1e3]\n").points()
    assert [p["behaviour"] for p in points] == ["yes", "12:30", "010", "1e3"]


def test_merge_keys_keep_the_semantics_of_safe_load(spec_file: Path) -> None:
    text = "sweep:\n- &first {size: 1, scale: 2.0}\n- {<<: *first, size: 3}\n"
    assert load(spec_file, text).points() == [{"size": 1, "scale": 2.0}, {"size": 3, "scale": 2.0}]


NOTEBOOK_REFUSALS = [
    ("n: int = 3\n", (), "expected one cell tagged `parameters`, got 0"),
    ("n = 3\n", ("parameters",), "expected `name: type = value` in the parameters cell, got `n = 3`"),
    ("import os\n", ("parameters",), "expected `name: type = value`"),
    ("n: int = 3  # n=3 is best\n", ("parameters",), "Papermill cannot read `n: int = 3`"),
    ("n: int | None = 3\n", ("parameters",), "expected bool, int, float, str, list"),
    ("n: int = 3.5\n", ("parameters",), "the default does not fit its annotation"),
    ("n: int = len('a')\n", ("parameters",), "expected a literal as default of 'n'"),
    ("n: int = \n", ("parameters",), "is not Python"),
]


@pytest.mark.parametrize(("source", "tags", "message"), NOTEBOOK_REFUSALS)
def test_notebooks_whose_parameters_cannot_be_checked(
    tmp_path: Path, source: str, tags: tuple[str, ...], message: str
) -> None:
    write_notebook(tmp_path / "notebooks" / "toy.ipynb", source, tags=tags)
    spec_file = tmp_path / "experiments" / "bench" / "toy.yml"
    spec_file.parent.mkdir(parents=True)
    error = refusal(spec_file, "")
    assert message in str(error)
    assert error.line == 4


def test_notebook_parameters_agree_with_papermill(bench: Path, spec_file: Path) -> None:
    from papermill import inspect_notebook

    found = inspect_notebook(str(bench / "notebooks" / "toy.ipynb").replace("{", "{{").replace("}", "}}"))
    parameters = load(spec_file, "").parameters
    assert [(p.name, p.annotation, p.help) for p in parameters.values()] == [
        (entry["name"], entry["inferred_type_name"], entry["help"]) for entry in found.values()
    ]
    assert len(parameters) == len(PARAMETERS.splitlines())


def test_missing_files(tmp_path: Path, spec_file: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        load_spec(tmp_path / "none.yml")
    spec_file.write_text(HEAD.replace("toy.ipynb", "none.ipynb"))
    with pytest.raises(SpecError, match="no such file") as caught:
        load_spec(spec_file)
    assert caught.value.line == 4
    spec_file.write_text("# nothing\n")
    with pytest.raises(SpecError, match="got an empty file"):
        load_spec(spec_file)
    spec_file.write_bytes(b"name: a\ntitle: \xff\n")
    with pytest.raises(SpecError, match="expected UTF-8") as caught:
        load_spec(spec_file)
    assert caught.value.line == 2


def test_protocol_has_the_fields_of_the_stopwatch_s() -> None:
    assert set(Protocol.model_fields) == {field.name for field in dataclasses.fields(measure.Protocol)}


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*/*.yml")), ids=lambda path: path.stem)
def test_shipped_experiments_load(path: Path) -> None:
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.points()
    assert len(spec.points(ci=True)) <= len(spec.points())


def test_published_schema_is_the_model_s() -> None:
    published = EXPERIMENTS / "schema.json"
    # As values: how a number is spelt depends on pydantic's version.
    assert json.loads(published.read_text()) == spec_schema(), (
        "write json.dumps(rx580lab.experiment.spec_schema(), indent=2) and a newline to experiments/schema.json"
    )


@settings(deadline=None, max_examples=150)
@given(text=st.text(max_size=60) | st.text(alphabet="params: {}[]&*!-\n\t'\"|>%@`#,?x0123456789", max_size=80))
def test_any_text_loads_or_is_a_spec_error(bench: Path, text: str) -> None:
    spec_file = bench / "experiments" / "bench" / "any.yml"
    spec_file.write_bytes((HEAD + text).encode("utf-8", "surrogatepass"))
    with contextlib.suppress(SpecError):
        load_spec(spec_file)
