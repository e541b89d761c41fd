"""Behaviours of facet ``settings``."""
# ruff: noqa: S101 - a conformance suite is made of assertions

import pytest

from dbre.core.errors import DbreError, Denied, Unsupported, UsageError
from dbre.ports.settings import Applies
from dbre.testing.conformance.subject import Subject, opened

__all__ = ["SettingsConformance"]


class SettingsConformance:
    """Server parameters."""

    async def test_parameters_are_listed_once_and_in_order(self, subject: Subject) -> None:
        """Sorted by name, each name once."""
        async with opened(subject) as server:
            names = [setting.name for setting in await server.settings.list()]
        assert names == sorted(names)
        assert len(names) == len(set(names)) > 10

    async def test_one_parameter_is_as_in_the_list(self, subject: Subject) -> None:
        """``get`` and ``list`` tell the same."""
        async with opened(subject) as server:
            every = await server.settings.list()
            chosen = next(setting for setting in every if setting.value and setting.applies is not Applies.NEVER)
            assert await server.settings.get(chosen.name) == chosen

    async def test_an_unknown_parameter_gets_a_suggestion(self, subject: Subject) -> None:
        """A slip of the keyboard is answered with the name that was meant."""
        async with opened(subject) as server:
            name = max((setting.name for setting in await server.settings.list()), key=len)
            with pytest.raises(UsageError) as caught:
                await server.settings.get(name[:-2] + name[-1])
        assert name in str(caught.value.hint)

    async def test_hostile_names_are_only_unknown(self, subject: Subject) -> None:
        """Names are data, and control characters do not come back."""
        async with opened(subject) as server:
            for name in (*subject.hostile_names, "x' OR '1'='1", "\0", ""):
                with pytest.raises(UsageError) as caught:
                    await server.settings.get(name)
                assert "\x1b" not in caught.value.message
                assert "\n" not in caught.value.message

    async def test_a_login_that_only_watches_changes_nothing(self, subject: Subject) -> None:
        """Without a privilege of its own a change is refused before anything is sent, and says so."""
        async with opened(subject) as server:
            before = await server.settings.list()
            chosen = next(setting.name for setting in before if setting.applies is Applies.SESSION and setting.value)
            for attempt in (server.settings.foresee, server.settings.change):
                with pytest.raises((Denied, Unsupported)) as caught:
                    await attempt(chosen, None)
                assert str(subject.access.address) in caught.value.message
                assert caught.value.hint
            assert [one.name for one in before] == [one.name for one in await server.settings.list()]

    async def test_a_change_of_hostile_names_is_refused(self, subject: Subject) -> None:
        """A name is looked up before anything is made of it."""
        async with opened(subject) as server:
            for name in (*subject.hostile_names, "x` = 1; DROP TABLE y; --", "\0", ""):
                with pytest.raises(DbreError) as caught:
                    await server.settings.foresee(name, "1")
                assert "\x1b" not in caught.value.message
