"""Names of a package that load on first use.

The rule: a package says in which of its modules each name lives, and a module loads when the first of its names is
asked for. Type checkers read plain imports beside it, and find a name that is not there.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def on_first_use(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the `__getattr__` and the `__dir__` of a package.

    Args:
        package: its full name.
        homes: the names that live in a module, separated by blanks, by the name of the module; its own stands for it.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def load(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f".{home_of[name]}", package)
        value: object = module if name == home_of[name] else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return load, names
