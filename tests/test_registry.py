"""A registry keeps classes for hosts that come before and after them."""

import pytest

from asid_plugin.registry import Registry


def test_a_host_receives_what_was_and_what_will_be_registered() -> None:
    registry = Registry('arch')

    @registry.register()
    class First:
        pass

    early: list[type] = []
    late: list[type] = []
    registry.connect(early.append)

    @registry.register()
    class Second:
        pass

    registry.connect(late.append)
    assert early == late == [First, Second]
    assert dict(registry) == {'First': First, 'Second': Second} and registry['First'] is First


def test_a_name_is_registered_once() -> None:
    registry = Registry('arch')
    registry.register()(Registry)
    with pytest.raises(KeyError, match='the arch registry already has a Registry'):
        registry.register()(Registry)
