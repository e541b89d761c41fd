"""Which versions run, which are installed, and whether going from one to the other is a minor step: pure rules."""

from collections.abc import Iterator

from dbre.capabilities.upgrade.checks import CheckState, RollCheck, version_text
from dbre.capabilities.upgrade.config_document import UpgradeClusterDocument
from dbre.capabilities.upgrade.survey import NodeLook, Survey

__all__ = ["due", "is_same_series", "version_checks"]


def is_same_series(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether only the last number differs: 15.17 and 15.18, 10.11.14 and 10.11.15.

    >>> is_same_series((15, 17), (15, 18)), is_same_series((10, 11, 14), (11, 4, 2))
    (True, False)
    """
    return len(one) == len(other) and one[:-1] == other[:-1]


def due(seen: Survey, document: UpgradeClusterDocument) -> list[str]:
    """Whose programs are replaced by a command, or were replaced already and do not run yet."""
    return [one.name for one in seen.nodes.values() if document.installs(one.name) or _is_replaced(one)]


def version_checks(seen: Survey, document: UpgradeClusterDocument) -> Iterator[RollCheck]:
    """Each server: what runs against what is installed, extensions and collations against their libraries."""
    for one in seen.nodes.values():
        yield _minor(one, has_command=document.installs(one.name))


def _is_replaced(one: NodeLook) -> bool:
    return one.installed is not None and one.version is not None and one.installed != one.version


def _minor(one: NodeLook, *, has_command: bool) -> RollCheck:
    running, installed = one.version, one.installed
    value = f"runs {version_text(running)}, {version_text(installed)} is installed"
    if installed is None:
        is_met = running is not None and has_command  # what its command installs is looked at when it runs
    else:
        is_met = running is not None and is_same_series(running, installed)
    if is_met and running is not None and installed is not None and installed < running and not has_command:
        is_met, value = False, f"{value}: an older one"
    return RollCheck(
        rule="minor_step",
        subject=one.name,
        state=CheckState.OK if is_met else CheckState.FAIL,
        value=value,
        limit="only the last number of the version differs, and does not fall",
        source="the program on this machine, and the server",
        remedy="control: data_directory (and bindir) of the instance, or version: in its commands, say which program; "
        "a major version is another matter",
    )
