"""A killed primary that nothing brings back ends the drill at once, with the reason; a person sets it right."""

from pathlib import Path
from typing import Any

import pytest
from test_drill_regions import lab_started
from test_drills import dbre, drill

from dbre.core.errors import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]


async def test_what_does_not_come_back_is_told_and_waited_for_no_more(lab_site: Any, tmp_path: Path) -> None:
    async with lab_started("drill-left", lab_site.directory / "drill-left", "--replicas", "1") as lab:
        settings = lab.directory / "drill-left-1" / "data" / "postgresql.conf"
        whole = settings.read_text()
        with settings.open("a") as file:
            file.write("dbre_nonsense = on\n")  # it runs, and would not start again
        code, _, complaints = await drill(lab, "leader-crash")
        assert code == ExitCode.FAILED, complaints
        assert "drill-left-1 did not come back, and nobody waits for that any more" in complaints
        assert "dbre_nonsense" in complaints
        assert "dbre ha rejoin drill-left INSTANCE; then dbre chaos heal" in complaints
        code, kept, complaints = await dbre(lab.config_file, "ha", "drill", "list")
        assert [one["kind"] for one in kept["items"]] == ["leader-crash"], complaints

        settings.write_text(whole)
        code, _, complaints = await dbre(lab.config_file, "ha", "rejoin", lab.name, "drill-left-1", "--confirm", lab.name)
        assert code == ExitCode.OK, complaints
        code, _, complaints = await dbre(lab.config_file, "chaos", "heal")
        assert code == ExitCode.OK, complaints
        code, status, complaints = await dbre(lab.config_file, "ha", "status", lab.name)
        assert (code, status["item"]["primary"]) == (ExitCode.OK, "drill-left-2"), complaints
