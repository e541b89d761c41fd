"""How a standby is told whom to follow: the text of ``primary_conninfo``."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dbre.core.errors import UsageError
from dbre.core.secrets import Secret
from dbre.ports.succession import Following, NoControl

__all__ = ["conninfo_for", "leads_to"]

_OF_THE_UPSTREAM = ("host", "hostaddr", "port", "dbname", "service", "load_balance_hosts", "target_session_attrs")


def conninfo_for(following: Following) -> Secret:
    """The login of another standby, towards another upstream and under the follower's own name.

    Raises: NoControl where no login is known; UsageError where the pattern cannot be read.
    """
    given: dict[str, str] = {}
    if following.like is not None:
        given = {name: value for name, value in _parsed(following.like.text.reveal()).items() if name not in _OF_THE_UPSTREAM}
    if following.user is not None:
        for name in ("user", "password", "passfile"):
            given.pop(name, None)
        given["user"] = following.user
        if following.password is not None:
            given["password"] = following.password.reveal()
    if "user" not in given:
        raise NoControl(
            f"nobody knows as whom {following.name} is to follow {following.upstream}",
            hint="set replication_user and replication_password of the cluster in dbre.yaml",
        )
    given |= {"host": following.upstream.host, "port": str(following.upstream.port), "application_name": following.name}
    return Secret(make_conninfo("", **given))


def leads_to(conninfo: str, other: str) -> bool:
    """Whether two texts lead to the same upstream under the same name."""
    names = ("host", "hostaddr", "port", "application_name", "user")
    mine, theirs = _parsed(conninfo), _parsed(other)
    return all(mine.get(name) == theirs.get(name) for name in names)


def _parsed(text: str) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except ProgrammingError:
        raise UsageError(
            "the primary_conninfo of a server of the cluster cannot be read", hint="SHOW primary_conninfo; and correct it"
        ) from None  # its message may quote the password
