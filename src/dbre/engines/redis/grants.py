"""The smallest ACL that lets a user do all that dbre asks of Redis or Valkey."""

from dbre.core.errors import UsageError
from dbre.engines.redis.commands import PRIVILEGES

__all__ = ["grant_script"]

_LONGEST_USER = 64


def grant_script(user: str) -> str:
    """One ``ACL SETUSER`` line for redis-cli, to be run on every instance, since ACLs are not replicated.

    It takes away whatever the user could do besides. The password is the administrator's to add:
    ``ACL SETUSER name >password``.

    Raises: UsageError where ``user`` cannot be the name of a user.
    """
    if not user or len(user) > _LONGEST_USER or not user.isprintable() or " " in user:
        raise UsageError(
            f"a user's name has 1 to {_LONGEST_USER} printable characters and no blanks, and this one has {len(user)}",
            hint="name the user that dbre logs in as: --user dbre",
        )
    words = dict.fromkeys(word for privilege in PRIVILEGES for word in privilege.split(" "))
    keys = [word for word in words if word.startswith("~")]
    commands = [word for word in words if word.startswith("+")]
    return " ".join(("ACL SETUSER", _quoted(user), "on resetkeys resetchannels -@all", *keys, *commands)) + "\n"


def _quoted(user: str) -> str:
    """A word for redis-cli, which reads escapes inside double quotes."""
    escaped = user.replace("\\", "\\\\").replace('"', '\\"')
    return user if user.isalnum() else f'"{escaped}"'
