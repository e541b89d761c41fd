"""The programs of MongoDB and PBM: the connection string is in a file or in the environment, never in an argument.

Sources: MongoDB Database Tools, "mongodump" (``--config``: a YAML file with ``uri`` and ``password``, "``--oplog``": only of a
replica set member), "mongorestore" (``--oplogReplay``, ``--oplogLimit``); mongosh, "Options" (``--nodb``, ``--quiet``,
``--eval``); Percona Backup for MongoDB, "PBM commands", "PBM_MONGODB_URI".
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import yaml

from dbre.core.errors import Unsupported, UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.tools.call import Ended, call, find_program
from dbre.tools.private_settings import read_private

__all__ = [
    "MongoTools",
    "Topology",
    "dump_argv",
    "open_tools",
    "pbm_argv",
    "require_replica_set",
    "restore_argv",
    "topology_argv",
]

_SCRIPT = (
    "const d = connect(process.env.DBRE_MONGODB_URI); const h = d.hello(); "
    'const s = d.getSiblingDB("admin").getCollection("system.version").findOne({_id: "shardIdentity"}); '
    "print(JSON.stringify({setName: h.setName ?? null, msg: h.msg ?? null, isShard: s !== null, version: d.version()}));"
)
"""No word of the connection is in it: mongosh reads that from its environment."""


class Topology(msgspec.Struct, frozen=True, rename="camel"):
    """What a server is a member of."""

    set_name: str | None = None
    msg: str | None = None
    is_shard: bool = False
    version: str | None = None


def dump_argv(program: Path, *, config: Path, directory: Path) -> list[str | Path]:
    """A dump of all databases with the oplog of its time, compressed."""
    return [program, f"--config={config}", "--oplog", "--gzip", f"--out={directory}"]


def restore_argv(program: Path, *, socket: Path, dump: Path, limit: str, is_compressed: bool) -> list[str | Path]:
    """A restore over a socket on this machine, with the oplog up to before ``limit`` (SECONDS:ORDINAL), ending at an error."""
    host = str(socket).replace("%", "%25").replace("/", "%2F")
    return [
        program,
        f"--uri=mongodb://{host}/",
        "--oplogReplay",
        f"--oplogLimit={limit}",
        "--stopOnError",
        *(["--gzip"] if is_compressed else []),
        f"--dir={dump}",
    ]


def topology_argv(program: Path) -> list[str | Path]:
    """What the server is a member of, as one line of JSON."""
    return [program, "--nodb", "--quiet", "--norc", "--eval", _SCRIPT]


def pbm_argv(program: Path, *words: str) -> list[str | Path]:
    """A command of PBM, as JSON."""
    return [program, *words, "-o", "json"]


def require_replica_set(found: Topology) -> None:
    """Raises: Unsupported for a cluster of shards, one shard of it, or a server alone: a dump of them is of no one moment."""
    if found.msg == "isdbgrid" or found.is_shard:
        what = "a router of a sharded cluster" if found.msg == "isdbgrid" else "one shard of a cluster"
        raise Unsupported(
            f"the server is {what}: mongodump would copy its shards at different moments",
            hint="Percona Backup for MongoDB: dbre backup inspect mongodb --stanza pbm",
        )
    if found.set_name is None:
        raise Unsupported(
            "the server is no member of a replica set: it has no oplog, and a dump of it is of no one moment",
            hint="make it a replica set of one member: replication.replSetName, then rs.initiate()",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoTools:
    """How the programs are called."""

    account: Account
    config: Path | None
    uri: str | None = field(repr=False)

    def need_config(self) -> Path:
        """The file with the connection string. Raises: UsageError."""
        if self.config is None:
            raise UsageError("nothing says where the servers are", hint="--config FILE: a YAML file with uri, mode 0600")
        return self.config

    async def topology(self) -> Topology:
        """What the server is a member of. Raises: ProgramFailed, BinariesMissing, UsageError."""
        self.need_config()
        program = find_program("mongosh", hint="the MongoDB Shell: mongosh")
        ended = await call(
            topology_argv(program), account=self.account, timeout_seconds=120, environment={"DBRE_MONGODB_URI": self.uri or ""}
        )
        lines = ended.stdout.decode(errors="replace").strip().splitlines()
        try:
            return msgspec.json.decode(lines[-1] if lines and ended.status == 0 else "", type=Topology)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ProgramFailed(
                f"mongosh ended with {ended.status} and does not say what the server is a member of: {self.hidden(ended.said)}",
                hint="see that the server answers and the account may read admin.system.version",
            ) from error

    async def pbm(self, *words: str, timeout_seconds: float) -> Ended:
        """One command of PBM to its end. Raises: ProgramFailed, BinariesMissing, UsageError."""
        self.need_config()
        program = find_program("pbm", hint="percona-backup-mongodb; run dbre where the cluster can be reached")
        ended = await call(
            pbm_argv(program, *words),
            account=self.account,
            timeout_seconds=timeout_seconds,
            environment={"PBM_MONGODB_URI": self.uri or ""},
        )
        if ended.status != 0:
            raise ProgramFailed(
                f"pbm {words[0]} ended with {ended.status}: {self.hidden(ended.said)}",
                hint=f"run it by hand as {self.account.name}: pbm {words[0]}",
                context={"program": "pbm", "exit_status": ended.status, "command": words[0]},
            )
        return ended

    def hidden(self, said: str) -> str:
        """What a program said, without the connection string: drivers quote it in their complaints."""
        return said.replace(self.uri, "***") if self.uri else said


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    uri: str
    password: str | None = None
    ssl_pem_key_password: str | None = msgspec.field(name="sslPEMKeyPassword", default=None)


def open_tools(*, account: Account, config: Path | None) -> MongoTools:
    """The programs, with the YAML file that mongodump itself reads. Raises: Denied, UsageError; no value is in a message."""
    if config is None:
        return MongoTools(account=account, config=None, uri=None)
    try:
        found = msgspec.convert(yaml.safe_load(read_private(config)), _Config)
    except (yaml.YAMLError, msgspec.MsgspecError):  # its own message would quote a line of the file
        raise UsageError(
            f"{config} is no configuration file of the MongoDB tools", hint="uri: mongodb://..., and nothing else but password"
        ) from None
    return MongoTools(account=account, config=config, uri=found.uri)
