"""No server error, no undocumented answer, no data without a key: made-up requests over the document, as each role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.fuzz import ROLES, cases, faults, fuzz, fuzzed_server
from tests.serve.running import Running


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with fuzzed_server(Path(tmp_path_factory.mktemp("fuzzed"))) as running:
        yield running


@pytest.mark.parametrize("role", ROLES)
def test_every_check_holds(fuzzed: Running, role: str) -> None:
    code, said = fuzz(fuzzed, role, "--max-examples", "3", "--generation-deterministic")
    assert code == 0, said
    assert cases(said) > 800, said
    assert faults(fuzzed) == []
    assert not any("Traceback" in line for line in fuzzed.log)
