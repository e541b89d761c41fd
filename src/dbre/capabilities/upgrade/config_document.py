"""The section ``upgrade`` of ``dbre.yaml``: limits of rolling changes, and the commands that replace programs."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from dbre.core.config import Document, Duration, Name, Section
from dbre.core.control_document import Argv
from dbre.core.errors import UsageError

__all__ = ["UPGRADE", "InstanceCommands", "UpgradeClusterDocument", "UpgradeDocument"]


def _listed(value: object) -> object:
    return () if value is None else value


class InstanceCommands(Document):
    """How the programs of one instance are replaced, and put back; run without a shell while its server is stopped.

    Where Patroni starts and stops it, while it runs: the restart afterwards takes the new ones.
    """

    instance: Name = Field(description="of the cluster")
    install: Argv | None = Field(
        default=None,
        description="replaces the programs; done again it changes nothing: [/usr/bin/ssh, db1, sudo, apt-get, ...]; "
        "without it they are replaced beforehand",
    )
    put_back: Argv | None = Field(
        default=None, description="puts the programs of before back; without it nothing is taken back"
    )
    version: Argv | None = Field(
        default=None,
        description="prints the version that its next start runs: [/usr/bin/ssh, db1, /usr/lib/postgresql/15/bin/postgres, "
        "--version]; default: the program on this machine is asked",
    )
    limit: Duration = Field(timedelta(seconds=600), description="how long each may take")


class UpgradeClusterDocument(Document):
    """One cluster of the inventory."""

    cluster: Name = Field(description="of the inventory")
    stop: Duration = Field(timedelta(seconds=120), description="how long a server may take to stop")
    start: Duration = Field(timedelta(seconds=300), description="how long it may take to start, and to recover")
    catch_up: Duration = Field(timedelta(seconds=300), description="how long it may take to receive and apply what it missed")
    commands: Annotated[tuple[InstanceCommands, ...], BeforeValidator(_listed)] = Field(
        (), description="for dbre upgrade minor; without them programs are replaced beforehand, by whoever installs packages"
    )

    @model_validator(mode="after")
    def _each_once(self) -> "UpgradeClusterDocument":
        names = [one.instance for one in self.commands]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"commands name {', '.join(twice)} twice", hint="join the two")
        return self

    def commands_of(self, instance: str) -> InstanceCommands | None:
        """Those of an instance; None where its programs are replaced by others."""
        return next((one for one in self.commands if one.instance == instance), None)

    def installs(self, instance: str) -> bool:
        """Whether a command replaces its programs."""
        found = self.commands_of(instance)
        return found is not None and found.install is not None


class UpgradeDocument(Document):
    """Rolling restarts and upgrades."""

    clusters: tuple[UpgradeClusterDocument, ...] = Field((), description="each cluster once; one that is not named has no more")

    @model_validator(mode="after")
    def _each_once(self) -> "UpgradeDocument":
        names = [one.cluster for one in self.clusters]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"{', '.join(twice)} is in the list twice", hint="join the two")
        return self

    def of(self, cluster: str) -> UpgradeClusterDocument:
        """What is said of a cluster; the defaults where nothing is."""
        return next((one for one in self.clusters if one.cluster == cluster), UpgradeClusterDocument(cluster=cluster))


UPGRADE = Section(
    "upgrade", UpgradeDocument, UpgradeDocument, "Rolling restarts and upgrades: limits, and what replaces programs."
)
