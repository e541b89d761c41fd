"""What the two sides of MySQL's protocol say of themselves before the first command."""

from dataclasses import dataclass

from dbre.engines.mysql.wire_frames import HEADER

__all__ = ["Greeted", "Login", "ask_for_tls", "ask_plainly", "read_change_of_user", "read_login"]

_WITH_DATABASE, _COMPRESS, _SSL, _SECURE = 1 << 3, 1 << 5, 1 << 11, 1 << 15
_PLUGIN, _ATTRIBUTES, _LONG_AUTH, _ZSTD, _QUERY_ATTRIBUTES = 1 << 19, 1 << 20, 1 << 21, 1 << 26, 1 << 27
_HIDING = _COMPRESS | _ZSTD | _QUERY_ATTRIBUTES  # what makes statements unreadable for us
_FIXED = 32  # bytes of a client's first packet before the name of the user
_PROTOCOL = 10
_PROTOCOL_41 = 1 << 9
_LARGEST_PACKET = 1 << 24
_UTF8 = 45  # utf8mb4_general_ci


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeted:
    """A server's greeting as the client gets it."""

    data: bytes
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who comes, as far as it was said."""

    user: str
    database: str
    application: str
    is_encrypting: bool = False  # TLS begins now, and the login follows within it
    is_compressed: bool = False


def ask_plainly(data: bytes, *, without_tls: bool) -> Greeted:
    """The greeting, with what would hide statements taken out of what the server offers."""
    body = data[HEADER:]
    found = _offered(body)
    if found is None:
        return Greeted(data=data, is_known=False)
    given, lower, upper = found
    kept = (given & ~_HIDING & ~(_SSL if without_tls else 0)).to_bytes(4, "little")
    changed = body[:lower] + kept[:2] + body[lower + 2 : upper] + kept[2:] + body[upper + 2 :]
    return Greeted(data=data[:HEADER] + changed, is_known=True)


def ask_for_tls(data: bytes) -> bytes | None:
    """What a client sends upon a greeting so that TLS begins; None where the server does not offer it."""
    found = _offered(data[HEADER:])
    if found is None or not found[0] & _SSL:
        return None
    abilities = (_PROTOCOL_41 | _SSL | _SECURE).to_bytes(4, "little")
    body = (abilities + _LARGEST_PACKET.to_bytes(4, "little") + bytes((_UTF8,))).ljust(_FIXED, b"\0")
    return len(body).to_bytes(3, "little") + b"\x01" + body


def _offered(body: bytes) -> tuple[int, int, int] | None:
    """What a greeting offers, and where its two halves stand; None where it is of another protocol."""
    version_end = body.find(b"\0", 1)
    lower = version_end + 1 + 4 + 8 + 1  # number of the connection, first part of the scramble, a zero
    upper = lower + 2 + 1 + 2  # character set, status
    if body[:1] != bytes((_PROTOCOL,)) or version_end < 0 or len(body) < upper + 2:
        return None
    return int.from_bytes(body[lower : lower + 2] + body[upper : upper + 2], "little"), lower, upper


def read_login(body: bytes) -> Login | None:
    """A client's answer to the greeting; None where it is older than protocol 4.1, or cut short."""
    if len(body) < _FIXED:
        return None
    abilities = int.from_bytes(body[:4], "little")
    if len(body) == _FIXED and abilities & _SSL:
        return Login(user="", database="", application="", is_encrypting=True)
    user, position = _text(body, _FIXED)
    if abilities & _LONG_AUTH:
        size, position = _number(body, position)
        position += size
    elif abilities & _SECURE:
        position += 1 + (body[position] if position < len(body) else 0)
    else:
        position = _text(body, position)[1]
    database = ""
    if abilities & _WITH_DATABASE:
        database, position = _text(body, position)
    if abilities & _PLUGIN:
        position = _text(body, position)[1]
    application = _attributes(body, position).get("program_name", "") if abilities & _ATTRIBUTES else ""
    return Login(user=user, database=database, application=application, is_compressed=bool(abilities & (_COMPRESS | _ZSTD)))


def read_change_of_user(body: bytes) -> tuple[str, str]:
    """User and database of COM_CHANGE_USER."""
    user, position = _text(body, 1)
    position += 1 + (body[position] if position < len(body) else 0)
    return user, _text(body, position)[0]


def _attributes(body: bytes, position: int) -> dict[str, str]:
    total, position = _number(body, position)
    end, found = min(position + total, len(body)), {}
    while position < end:
        key, position = _counted(body, position)
        value, position = _counted(body, position)
        found[key] = value
    return found


def _counted(body: bytes, position: int) -> tuple[str, int]:
    size, position = _number(body, position)
    return body[position : position + size].decode("utf-8", "replace"), position + size


def _text(body: bytes, position: int) -> tuple[str, int]:
    end = body.find(b"\0", position)
    end = len(body) if end < 0 else end
    return body[position:end].decode("utf-8", "replace"), end + 1


def _number(body: bytes, position: int) -> tuple[int, int]:
    """An integer whose first byte tells its length."""
    first = body[position] if position < len(body) else 0
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size:
        return first, position + 1
    return int.from_bytes(body[position + 1 : position + 1 + size], "little"), position + 1 + size
