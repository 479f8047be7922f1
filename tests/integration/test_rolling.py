"""A deployment under load, small; ``tests/chaos`` has 500 events a second for three minutes."""

from __future__ import annotations

import pytest

from tests.conftest import StartHeadrace
from tests.ledger import MakeSystem
from tests.rolling import roll


@pytest.mark.timeout(600)
async def test_a_rolling_deployment_shows_to_nobody(make_system: MakeSystem, headrace_process: StartHeadrace) -> None:
    rolled = await roll(make_system(destinations={"a": {}}), headrace_process, rate=150, connections=16, before=1000)
    rolled.assert_tables_were_kept()
