"""No fault that the lab claims to survive is without a test that proves it, and a guard that was seen to matter."""

from __future__ import annotations

import pytest

from tests import faults
from tests.faults import FAULTS, ROOT, Fault


def test_the_faults_are_numbered() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 33))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.number}")
def test_each_has_tests_and_guards_that_stand_in_the_source(fault: Fault) -> None:
    assert faults.tests_of(fault.number)
    assert fault.guards
    for guard in fault.guards:
        source = (ROOT / guard.file).read_text(encoding="utf-8")
        assert source.count(guard.text) == 1, guard.text
