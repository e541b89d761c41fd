"""The examples in the docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import dbre.capabilities.incident
import dbre.capabilities.slo

MODULES = [
    module.name
    for package in (dbre.capabilities.slo, dbre.capabilities.incident)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("package", [dbre.capabilities.slo, dbre.capabilities.incident])
def test_every_public_name_can_be_had(package):
    assert sorted(package.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == package.__all__
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
