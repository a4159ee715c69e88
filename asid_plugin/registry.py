"""Registries that keep this package's classes until a host framework takes them.

BasicSR and MMEngine find classes in their registries, which need an imported framework. The registries here need none.
Once a framework has been imported, `asid_plugin.startup` connects it, and it receives all earlier and later
registrations.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

Registered = TypeVar('Registered', bound=Callable[..., Any])
"""A class or function."""


class Registry(Mapping[str, Callable[..., Any]]):
    """Classes or functions by name, for any number of hosts.

    Args:
        name: Of the registry in messages, such as 'arch'.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._items: dict[str, Callable[..., Any]] = {}
        self._hosts: list[Callable[[Any], object]] = []

    def register(self) -> Callable[[Registered], Registered]:
        """Decorate a class or function to be found by its name.

        Raises:
            KeyError: Another one has this name.
        """

        def keep(item: Registered) -> Registered:
            if item.__name__ in self._items:
                raise KeyError(f'the {self.name} registry already has a {item.__name__}')
            self._items[item.__name__] = item
            for take in self._hosts:
                take(item)
            return item

        return keep

    def connect(self, take: Callable[[Any], object]) -> None:
        """Hand over to a host everything that is registered, now and later.

        Args:
            take: The host's own function for a class or function, such as `basicsr`'s `ARCH_REGISTRY.register`.
        """
        for item in self._items.values():
            take(item)
        self._hosts.append(take)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


ARCH_REGISTRY = Registry('arch')
BLOCK_REGISTRY = Registry('block')
"""Parts of a network; BasicSR has no registry for them, MMEngine keeps them in the scope `asid`."""
DATASET_REGISTRY = Registry('dataset')
LOSS_REGISTRY = Registry('loss')
METRIC_REGISTRY = Registry('metric')
MODEL_REGISTRY = Registry('model')
