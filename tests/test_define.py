"""How layers are declared."""

from typing import Any

import pytest

from lilya._define import (
    DefineMiddleware,
    DefinePermission,
    Definition,
    Middleware,
    Permission,
    define_all,
    listed,
)
from lilya.exceptions import ImproperlyConfigured


class Layer:
    """What a definition builds."""

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self.built = (app, args, kwargs)

    async def __call__(self, *connection: Any) -> None:
        """Do nothing."""


def function_layer(app: Any, prefix: str = "") -> Any:
    """Anything that takes the application first can be a layer."""
    return Layer(app, prefix)


async def app(*connection: Any) -> None:
    """An application."""


@pytest.mark.parametrize("define", [DefineMiddleware, DefinePermission])
@pytest.mark.parametrize("cls", [Layer, f"{__name__}.Layer", f"{__name__}:Layer"])
def test_definition_builds_a_layer_with_its_arguments(define: type[Definition], cls: Any) -> None:
    """`definition(app)` is `cls(app, *args, **kwargs)`, each time anew."""
    definition = define(cls, 1, "two", three=3)
    first, second = definition(app), definition(app)
    assert isinstance(first, Layer)
    assert first.built == (app, (1, "two"), {"three": 3})
    assert first is not second


def test_definition_takes_any_callable() -> None:
    """A function that returns an application is as good as a class."""
    layer = DefineMiddleware(function_layer, prefix="x")(app)
    assert isinstance(layer, Layer)
    assert layer.built == (app, ("x",), {})


def test_definition_shows_what_it_holds() -> None:
    """It can be unpacked, and its representation is that of the declaration."""
    definition = DefineMiddleware(Layer, 1, name="x")
    assert tuple(definition) == (Layer, (1,), {"name": "x"})
    assert (definition.cls, definition.args, definition.kwargs) == (Layer, (1,), {"name": "x"})
    assert repr(definition) == "DefineMiddleware(Layer, 1, name='x')"
    assert repr(DefinePermission(Layer)) == "DefinePermission(Layer)"
    nameless = Layer(app)
    assert repr(DefinePermission(nameless)) == f"DefinePermission({nameless!r})"


def test_definition_has_its_known_names() -> None:
    """The short names are the same classes."""
    assert (Middleware, Permission) == (DefineMiddleware, DefinePermission)


@pytest.mark.parametrize(
    ("define", "cls", "message"),
    [
        (DefineMiddleware, 7, "7 cannot be a middleware: give a class whose instances are ASGI applications"),
        (DefinePermission, None, "None cannot be a permission: give a class"),
        (DefineMiddleware, "nowhere.Layer", "'nowhere.Layer' cannot be imported: there is no module 'nowhere'."),
        (DefinePermission, "Layer", "'Layer' is not an import path: write it as 'package.module.name'."),
    ],
)
def test_definition_refuses_what_cannot_be_a_layer(define: type[Definition], cls: Any, message: str) -> None:
    """At once, with the value and the remedy."""
    with pytest.raises(ImproperlyConfigured) as caught:
        define(cls)
    assert message in str(caught.value)


def takes_nothing() -> None:
    """Does not even take the application."""


def makes_nothing(app: Any) -> None:
    """Returns no application."""


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (
            DefineMiddleware(takes_nothing, 1, x=2),
            "The middleware takes_nothing cannot be built with the arguments that were declared for it: takes_nothing",
        ),
        (
            DefinePermission(makes_nothing),
            "The permission makes_nothing is not an ASGI application: give it `async def __call__(self, scope,",
        ),
    ],
)
def test_definition_says_what_is_wrong_with_a_layer(definition: Definition, message: str) -> None:
    """A layer that cannot be built, or is no application, is named, without its arguments, which may be secrets."""
    with pytest.raises(ImproperlyConfigured) as caught:
        definition(app)
    assert message in str(caught.value)


def test_define_all_takes_definitions_classes_and_import_paths() -> None:
    """Definitions stay themselves; everything else becomes one."""
    own = DefinePermission(Layer, 1)
    definitions = define_all("middleware", [own, Layer, f"{__name__}.Layer"], DefineMiddleware)
    assert definitions[0] is own
    assert [type(definition) for definition in definitions[1:]] == [DefineMiddleware, DefineMiddleware]
    assert [definition.cls for definition in definitions] == [Layer, Layer, Layer]
    assert define_all("middleware", None, DefineMiddleware) == ()


@pytest.mark.parametrize("entries", [None, [], (), {}, iter(())])
def test_listed_takes_nothing_for_no_entries(entries: Any) -> None:
    """No list is an empty list."""
    assert listed("things", entries) == ()


def test_listed_takes_any_iterable() -> None:
    """Lists, tuples, views and generators alike."""
    assert listed("things", [1, 2]) == listed("things", {1: "a", 2: "b"}.keys()) == (1, 2)
    assert listed("things", (number for number in (1, 2))) == (1, 2)
    assert listed("things", [app, Layer], callables=True) == (app, Layer)


@pytest.mark.parametrize("entry", ["text", 7, Layer, app, DefineMiddleware(Layer)])
def test_listed_refuses_a_single_entry(entry: Any) -> None:
    """One entry that is not in a list is a mistake, also where it could be iterated."""
    with pytest.raises(ImproperlyConfigured) as caught:
        listed("things", entry)
    assert str(caught.value) == f"things: {entry!r} is not a list. Write [{entry!r}] for a single entry."


def test_listed_refuses_what_cannot_be_called() -> None:
    """Where functions are expected, everything in the list is one."""
    with pytest.raises(ImproperlyConfigured, match=r"hooks: 7 cannot be called\. Give a function, sync or async\."):
        listed("hooks", [app, 7], callables=True)
