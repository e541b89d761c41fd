"""References to secrets, and a type that never prints one."""

__all__ = ["Secret"]


class Secret:
    """A secret value; ``str``, ``repr`` and format give ``***``, pickling and JSON are refused. ``reveal()`` at the last moment."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself: hand it to the driver, nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")
