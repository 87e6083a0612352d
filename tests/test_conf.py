"""Settings: where they come from, and what an application makes of them."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lilya.apps import Lilya
from lilya.conf import Settings, settings
from lilya.conf._proxy import ENVIRONMENT_VARIABLE, SettingsProxy, load_settings
from lilya.conf.global_settings import Settings as GlobalSettings
from lilya.exceptions import ImproperlyConfigured, PermissionDenied
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import Path
from lilya.serializers import SerializerConfig
from lilya.testclient import TestClient, override_settings
from lilya.types import Receive, Scope, Send


class Named(MiddlewareProtocol):
    """A middleware that notes its name."""

    def __init__(self, app: Any, name: str = "settings") -> None:
        super().__init__(app)
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("names", []).append(self.name)
        await self.app(scope, receive, send)


async def names(request: Request, value: str) -> list[Any]:
    """What the layers left in the scope, and a dependency."""
    return [*request.scope.get("names", []), value]


class AppSettings(Settings):
    """Settings as users write them: attributes, and properties for what has to be made."""

    debug = True
    redirect_slashes = False
    root_path = "/srv"
    added = "added"

    @property
    def middleware(self) -> list[Any]:  # type: ignore[override]  # a property in the place of an attribute
        return [Named]

    @property
    def exception_handlers(self) -> dict[Any, Any]:  # type: ignore[override]  # likewise
        return {PermissionDenied: handle}


async def handle(request: Request, error: PermissionDenied) -> PlainText:
    """Answer a refusal."""
    return PlainText("handled by the settings")


an_instance = AppSettings(added="of the instance")


@pytest.fixture
def _reloaded() -> Iterator[None]:
    """The environment variable counts anew before and after the test."""
    settings.reload()
    yield
    settings.reload()


# -- values ------------------------------------------------------------------------------------------------------------


def test_settings_have_defaults() -> None:
    """What an application falls back to when nobody says anything."""
    own = Settings()
    assert (own.debug, own.root_path, own.redirect_slashes) == (False, "", True)
    assert (own.default_route_pattern, own.include_in_schema, own.secret_key) == ("route_patterns", True, None)
    assert [*own.routes, *own.middleware, *own.permissions, *own.before_request, *own.after_request] == []
    assert (dict(own.exception_handlers), dict(own.dependencies)) == ({}, {})
    assert (own.on_startup, own.on_shutdown, own.lifespan) == (None, None, None)
    assert (own.logging_config, own.serializer_config) == (None, None)
    assert Settings is GlobalSettings


def test_settings_take_values_for_an_instance() -> None:
    """Attributes that the class has, its own ones included, can be given by keyword; the class stays as it is."""
    assert AppSettings(debug=False, added="x").added == "x"
    assert AppSettings().added == AppSettings.added == "added"


def test_settings_refuse_a_name_nobody_declared() -> None:
    """A misspelled setting is an error that says so."""
    with pytest.raises(ImproperlyConfigured, match=r"AppSettings\(debg=…\): there is no such setting"):
        AppSettings(debg=True)


# -- where they come from ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [AppSettings, AppSettings(), f"{__name__}.AppSettings", f"{__name__}:AppSettings"])
def test_settings_are_loaded_from_a_class_an_instance_or_a_path(module: Any) -> None:
    """Whichever is given, it is an instance that is used."""
    assert isinstance(load_settings(module), AppSettings)
    app = Lilya(settings_module=module)
    assert isinstance(app.settings, AppSettings)
    assert app.settings_module is module
    assert (app.debug, app.root_path, app.settings.added) == (True, "/srv", "added")


def test_settings_are_the_instance_that_was_given() -> None:
    """An instance, also behind a path, is not copied; the proxy itself may be given as well."""
    assert load_settings(an_instance) is an_instance
    assert Lilya(settings_module=f"{__name__}.an_instance").settings is an_instance
    assert load_settings(settings) is settings


@pytest.mark.parametrize("module", [7, object(), dict, f"{__name__}.handle", {"debug": True}])
def test_settings_refuse_what_are_no_settings(module: Any) -> None:
    """Anything else is an error that shows the value."""
    with pytest.raises(ImproperlyConfigured) as caught:
        Lilya(settings_module=module)
    assert str(caught.value) == f"settings_module={module!r} is not a subclass or an instance of Settings."


def test_settings_refuse_a_path_that_leads_nowhere() -> None:
    """A path that cannot be imported is an error of its own."""
    with pytest.raises(ImproperlyConfigured, match=r"'nowhere\.Settings' cannot be imported"):
        Lilya(settings_module="nowhere.Settings")


@pytest.mark.usefixtures("_reloaded")
def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`LILYA_SETTINGS_MODULE` names the settings of every application that is not given its own."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, f"{__name__}.AppSettings")
    assert ENVIRONMENT_VARIABLE == "LILYA_SETTINGS_MODULE"
    assert (settings.added, settings.debug) == ("added", True)
    app = Lilya()
    assert app.settings is settings
    assert (app.debug, app.root_path, app.settings_module) == (True, "/srv", None)
    assert Lilya(settings_module=Settings).debug is False


@pytest.mark.usefixtures("_reloaded")
@pytest.mark.parametrize("value", [None, ""])
def test_settings_are_our_own_without_the_environment(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Without the variable, or with an empty one, the defaults hold."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)
    assert settings.debug is False
    with pytest.raises(AttributeError, match="added"):
        _ = settings.added


@pytest.mark.usefixtures("_reloaded")
def test_settings_say_what_is_wrong_with_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong variable is an error when the first setting is read, and not before."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "nowhere.Settings")
    proxy = SettingsProxy()
    with pytest.raises(ImproperlyConfigured, match=r"'nowhere\.Settings' cannot be imported"):
        _ = proxy.debug


def test_settings_are_read_from_the_environment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later changes of the variable count after `reload` only."""
    proxy = SettingsProxy()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, f"{__name__}.an_instance")
    assert proxy.added == "of the instance"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, f"{__name__}.AppSettings")
    assert proxy.added == "of the instance"
    proxy.reload()
    assert proxy.added == "added"


# -- what an application makes of them ---------------------------------------------------------------------------------


def test_settings_fill_what_the_constructor_leaves_open() -> None:
    """Every constructor value falls back to the setting of its name, in properties too."""

    async def provide() -> str:
        return "provided"

    async def deny(request: Request) -> None:
        raise PermissionDenied

    ran: list[str] = []

    class Everything(AppSettings):
        root_path = ""
        routes = (Path("/x", names), Path("/deny", deny))
        permissions = (Named,)
        dependencies: Mapping[str, Any] = {"value": provide}
        on_startup = (lambda: ran.append("startup"),)
        on_shutdown = (lambda: ran.append("shutdown"),)
        before_request = (lambda *connection: ran.append("before"),)
        after_request = (lambda *connection: ran.append("after"),)
        include_in_schema = False
        serializer_config = SerializerConfig()

    app = Lilya(settings_module=Everything)
    assert app.include_in_schema is False
    with TestClient(app) as client:
        assert client.get("/x").json() == ["settings", "settings", "provided"]
        assert client.get("/deny").text == "handled by the settings"
        assert client.get("/x/").status_code == 404
    assert ran == ["startup", "before", "after", "before", "before", "shutdown"]


def test_settings_give_way_to_the_constructor() -> None:
    """What is given is taken, also where it is false or empty."""

    class More(AppSettings):
        routes = (Path("/", names),)
        dependencies: Mapping[str, Any] = {"value": "of the settings"}

    app = Lilya(
        settings_module=More,
        debug=False,
        root_path="",
        redirect_slashes=True,
        middleware=[],
        routes=[Path("/own", names, dependencies={"value": "own"})],
    )
    assert (app.debug, app.root_path, len(app.routes)) == (False, "", 1)
    client = TestClient(app)
    assert client.get("/own/").json() == ["own"]
    assert client.get("/").status_code == 404


def test_settings_lifespan_gives_way_to_hooks_and_hooks_to_a_lifespan() -> None:
    """Whichever the constructor gives, the other one of the settings does not disturb it."""
    ran: list[str] = []

    class Span:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, app: Any) -> "Span":
            return self

        async def __aenter__(self) -> None:
            ran.append(self.name)

        async def __aexit__(self, *error: object) -> None:
            pass

    class WithLifespan(Settings):
        lifespan = Span("settings lifespan")

    class WithHooks(Settings):
        on_startup = (lambda: ran.append("settings startup"),)
        on_shutdown = (lambda: ran.append("settings shutdown"),)

    for app in (
        Lilya(settings_module=WithLifespan),
        Lilya(settings_module=WithLifespan, on_startup=[lambda: ran.append("own startup")]),
        Lilya(settings_module=WithHooks, lifespan=Span("own lifespan")),
        Lilya(settings_module=WithHooks, on_startup=[lambda: ran.append("own startup")]),
    ):
        with TestClient(app):
            pass
    assert ran == ["settings lifespan", "own startup", "own lifespan", "own startup", "settings shutdown"]


def test_settings_can_be_overridden_for_applications_made_meanwhile() -> None:
    """`override_settings` holds for what is read inside; an application with settings of its own does not see it."""
    before = settings.debug
    with override_settings(debug=not before, added="while it lasts"):
        assert Lilya().debug is not before
        assert settings.added == "while it lasts"
        assert Lilya(settings_module=Settings(debug=before)).debug is before
        with settings.override(debug=before):
            assert Lilya().debug is before
        assert Lilya().debug is not before
    assert Lilya().debug is before
    assert not hasattr(settings, "added")


def test_settings_can_be_overridden_twice_with_the_same_values() -> None:
    """Blocks nest, whatever they set."""
    with settings.override(debug=True), settings.override(debug=True):
        assert settings.debug is True
    with settings.override(debug=True), settings.override(debug=False), settings.override(debug=True):
        assert settings.debug is True
