"""The smallest ACL that lets a user do all that dbre asks of Redis or Valkey."""

from dbre.core.errors import UsageError
from dbre.engines.redis.commands import PRIVILEGES, named

__all__ = ["backup_grants", "client_grants", "grant_script", "mischief_grants", "succession_grants"]

_LONGEST_USER = 128
_BACKUPS = ("backup_setting", "backup_end_file", "canary_write", "canary_newest", "canary_oldest", "canary_prune")
_CLIENT = ("client_push", "client_list", "client_field", "client_set_field", "client_swap", "client_remove")
_SUCCEEDING = (
    "succession_follow", "succession_hand_over", "succession_setting", "succession_set", "succession_keep",
    "succession_cut",
)  # fmt: skip
_SNAPSHOTS = ("+sync", "+psync", "+replconf")  # redis-cli --rdb
_MISCHIEF = ("mischief_pause", "mischief_unpause", "mischief_kill")
_FORBIDDEN = frozenset(" \t\n\v\f\r\0")  # ACLStringHasSpaces in src/acl.c


def grant_script(user: str) -> str:
    """One ``ACL SETUSER`` line for redis-cli, to be run on every instance, since ACLs are not replicated.

    It takes away whatever the user could do besides. The password is the administrator's to add:
    ``ACL SETUSER name >password``.

    Raises: UsageError where ``user`` cannot be the name of a user.
    """
    name = _checked(user)
    words = dict.fromkeys(word for privilege in PRIVILEGES for word in privilege.split(" "))
    keys = [word for word in words if word.startswith("~")]
    commands = [word for word in words if word.startswith("+")]
    return " ".join(("ACL SETUSER", name, "on resetkeys resetchannels -@all", *keys, *commands)) + "\n"


def backup_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides, to back the server up and to write the canary; it keeps what it could do before.

    Digests read every key. That takes ``%R~* +@read +select`` as well, which nobody gets by the way.

    Raises: UsageError where ``user`` cannot be the name of a user.
    """
    words = (word for name in _BACKUPS for word in named(name).privilege.split(" "))
    return (" ".join(("ACL SETUSER", _checked(user), *dict.fromkeys((*words, *_SNAPSHOTS)))),)


def client_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides to act as a probe client; it keeps what it could do before. Raises: UsageError."""
    words = (word for name in _CLIENT for word in named(name).privilege.split(" "))
    return (" ".join(("ACL SETUSER", _checked(user), *dict.fromkeys(words))),)


def mischief_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides for the faults of ``dbre chaos``, but other certificates; it keeps what it could do before.

    Those take ``+config|set``, by which everything can be done with a server. Raises: UsageError.
    """
    words = (word for name in _MISCHIEF for word in named(name).privilege.split(" "))
    return (" ".join(("ACL SETUSER", _checked(user), *dict.fromkeys(words))),)


def succession_grants(user: str) -> tuple[str, ...]:
    """What a login needs besides to change who is primary; it keeps what it could do before.

    Who may set every setting of a server may do everything with it. Raises: UsageError for an impossible name.
    """
    words = (word for name in _SUCCEEDING for word in named(name).privilege.split(" "))
    return (" ".join(("ACL SETUSER", _checked(user), *dict.fromkeys(words))),)


def _checked(user: str) -> str:
    if not 0 < len(user) <= _LONGEST_USER or set(user) & _FORBIDDEN or not _is_text(user):
        raise UsageError(
            f"a user's name has 1 to {_LONGEST_USER} characters of text without blanks, and this one has {len(user)}",
            hint="name the user that dbre logs in as: --user dbre",
        )
    return _quoted(user)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(user: str) -> str:
    """A word as redis-cli reads it: escapes are read inside double quotes, ``\\x1b`` stands for one byte."""
    if user.isalnum() and user.isascii():
        return user
    return '"' + "".join(map(_escaped, user)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode())
