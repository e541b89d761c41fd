"""From definitions to files: what is written, in which form, and whether the programs that read it agree."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.slo.compiler.alertmanager import alertmanager_config
from dbre.capabilities.slo.compiler.native import native_rules
from dbre.capabilities.slo.compiler.rule_file import rendered
from dbre.capabilities.slo.compiler.rule_tests import rule_tests
from dbre.capabilities.slo.compiler.sloth import sloth_groups, sloth_slos
from dbre.capabilities.slo.compiler.subject import Subject
from dbre.core.errors import DbreError, UsageError
from dbre.core.text import printable
from dbre.tools.promtool import Finding, check_alertmanager, check_rules, run_rule_tests

__all__ = ["RulesRefused", "WrittenFile", "alertmanager_files", "check_files", "rule_files", "save"]

_RULES, _TESTS, _SLOTH, _ROUTES = "dbre-slo.rules.yml", "dbre-slo.tests.yml", "dbre-slo.sloth.yml", "dbre-slo.alertmanager.yml"


class RulesRefused(DbreError):
    """The program that is to read what was written does not like it."""

    code = "slo.rules_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """One file; ``kind`` is rules, tests or alertmanager."""

    name: str
    kind: str
    text: str


def rule_files(
    subjects: Sequence[Subject], *, is_sloth: bool, with_tests: bool, probe_interval_ms: int, is_everything: bool
) -> tuple[list[WrittenFile], tuple[str, ...]]:
    """The rules, their unit tests if wanted, and notes. Raises: InvalidRule where an alert can never fire."""
    if is_sloth:
        groups = sloth_groups(list(sloth_slos(subjects)))
        text = rendered(groups, title="Rules of Prometheus for SLOs, as Sloth writes them")
        left_out = [
            f"SLO {one.name} has a budget of slices of time, which Sloth does not know"
            for one in subjects
            if not one.is_counted
        ]
        return [WrittenFile(name=_SLOTH, kind="rules", text=text)], tuple(left_out)
    compiled = native_rules(subjects, probe_interval_ms=probe_interval_ms, is_everything=is_everything)
    files = [WrittenFile(name=_RULES, kind="rules", text=rendered(compiled.groups, title="Rules of Prometheus for SLOs"))]
    notes = compiled.notes
    if with_tests:
        text, untested = rule_tests(subjects, rules_file=_RULES, probe_interval_ms=probe_interval_ms)
        files.append(WrittenFile(name=_TESTS, kind="tests", text=text))
        notes += untested
    return files, notes


def alertmanager_files(subjects: Sequence[Subject], *, page_receiver: str, ticket_receiver: str) -> list[WrittenFile]:
    """Routes and inhibition."""
    clusters = sorted({cluster for one in subjects for cluster in one.clusters})
    text = alertmanager_config(page_receiver=page_receiver, ticket_receiver=ticket_receiver, clusters=clusters)
    return [WrittenFile(name=_ROUTES, kind="alertmanager", text=text)]


def save(files: Sequence[WrittenFile], directory: Path, *, overwrite: bool) -> list[Path]:
    """Write files whole or not at all. Raises: UsageError where one exists or the directory cannot be written."""
    paths = [directory / one.name for one in files]
    if not overwrite and (there := [path for path in paths if path.exists()]):
        raise UsageError(f"{printable(str(there[0]))} exists", hint="give another --out, or --overwrite")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for one, path in zip(files, paths, strict=True):
            unfinished = path.with_name(f".{path.name}.new")
            unfinished.write_text(one.text, encoding="utf-8")
            unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"{printable(str(directory))} cannot be written: {error.strerror}") from error
    return paths


async def check_files(files: Sequence[WrittenFile]) -> list[Finding]:
    """Ask promtool (or vmalert) and amtool about files. Raises: RulesRefused with their words, NoChecker."""
    found = []
    with tempfile.TemporaryDirectory(prefix="dbre-compile-") as place:
        directory = Path(place)
        await asyncio.to_thread(save, files, directory, overwrite=False)
        for one in files:
            check = {"rules": check_rules, "tests": run_rule_tests, "alertmanager": check_alertmanager}[one.kind]
            finding = await check(directory / one.name)
            if not finding.is_good:
                words = finding.output.replace(f"{place}/", "")
                raise RulesRefused(f"{finding.tool} refuses {one.name}: {words}", hint="report this: the rules are ours")
            found.append(finding)
    return found
