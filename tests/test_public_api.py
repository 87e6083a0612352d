"""The names, signatures and members that existing applications rely on, as one table."""

import inspect
from enum import IntEnum, StrEnum
from importlib import import_module
from typing import Any

import pytest

import lilya
from lilya import enums, exceptions, responses, routing, status, websockets
from lilya._version import __version__
from lilya.background import BackgroundTask, Task
from lilya.datastructures import URL
from lilya.requests import Connection, Request
from lilya.testclient import WebSocketDenialResponse
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.test_limits import DEFAULTS as DEFAULT_LIMITS

EXPORTS: dict[str, str] = {
    "lilya": "ChildLilya Lilya WebSocket WebSocketDisconnect __version__",
    "lilya.apps": "ChildLilya Lilya",
    "lilya.background": "BackgroundTask Task Tasks",
    "lilya.compat": "reverse",
    "lilya.conf": "settings",
    "lilya.conf.global_settings": "Settings",
    "lilya.context": "Context g request_context session",
    "lilya.controllers": "Controller WebSocketController",
    "lilya.datastructures": (
        "Cookie DataUpload FormData Header ImmutableMultiDict MultiDict QueryParam Secret State URL URLPath"
    ),
    "lilya.dependencies": "Depends Provide Provides Resolve Security inject wrap_dependency",
    "lilya.drain": "Drain",
    "lilya.encoders": "Encoder apply_structure json_encode register_encoder",
    "lilya.enums": (
        "Event EventType HTTPMethod Match MediaType MessageMode Scope ScopeType SignatureDefault WebSocketState"
    ),
    "lilya.exceptions": (
        "AuthenticationError ContinueRouting HTTPException ImproperlyConfigured InternalServerError MethodNotAllowed "
        "NotAuthorized NotFound PermissionDenied UnprocessableEntity ValidationError WebSocketException "
        "WebSocketRuntimeError"
    ),
    "lilya.instruments": "ConnectionInfo Instrument Stats",
    "lilya.limits": "Limits",
    "lilya.middleware": "DefineMiddleware Middleware",
    "lilya.middleware.base": "DefineMiddleware",
    "lilya.permissions": "DefinePermission Permission",
    "lilya.observability.opentelemetry": "OpenTelemetryInstrument",
    "lilya.observability.prometheus": "PrometheusInstrument",
    "lilya.permissions.authentication": (
        "Authenticated MemoryTicketStore Requires TicketStore Tickets bearer_token offered_credential"
    ),
    "lilya.permissions.base": "DefinePermission",
    "lilya.protocols.middleware": "MiddlewareProtocol",
    "lilya.protocols.permissions": "PermissionProtocol",
    "lilya.requests": "Connection Request",
    "lilya.responses": (
        "FileResponse HTML HTMLResponse JSONResponse Ok PlainText RedirectResponse Response StreamingResponse "
        "TextResponse make_response"
    ),
    "lilya.routing": (
        "BasePath BaseRouter ContinueRouting Host Include NoMatchFound PassPartialMatches Path Route RoutePath Router "
        "RoutingMethodsMixin WebSocketPath WebSocketRoute compile_path get_name get_route_path"
    ),
    "lilya.serializers": "SerializerConfig serializer",
    "lilya.status": "HTTP_200_OK HTTP_404_NOT_FOUND WS_1000_NORMAL_CLOSURE WS_1015_TLS_HANDSHAKE",
    "lilya.testclient": (
        "AsyncTestClient TestClient WebSocketDenialResponse WebSocketTestSession create_async_client create_client "
        "override_settings"
    ),
    "lilya.transformers": "TRANSFORMER_TYPES Transformer register_path_transformer",
    "lilya.types": (
        "ASGIApp ApplicationType Dependencies ExceptionHandler Lifespan Message OriginsSetting Receive Scope Send"
    ),
    "lilya.websockets": (
        "Close WebSocket WebSocketClose WebSocketDisconnect WebSocketDisconnected WebSocketRuntimeError WebSocketState"
    ),
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in EXPORTS for name in EXPORTS[module].split()])
def test_api_has_every_known_import_path(module: str, name: str) -> None:
    """`from module import name` works for what users import."""
    assert hasattr(import_module(module), name)


@pytest.mark.parametrize("module", EXPORTS)
def test_api_lists_what_a_module_exports(module: str) -> None:
    """`__all__`, where there is one, names only what exists, and all that users know."""
    found = import_module(module)
    listed = getattr(found, "__all__", None)
    if listed is not None:
        assert [name for name in listed if not hasattr(found, name)] == []
        assert set(EXPORTS[module].split()) <= set(listed)


ALIASES = [
    ("lilya.routing.Route", "lilya.routing.Path"),
    ("lilya.routing.RoutePath", "lilya.routing.Path"),
    ("lilya.routing.WebSocketRoute", "lilya.routing.WebSocketPath"),
    ("lilya.routing.ContinueRouting", "lilya.exceptions.ContinueRouting"),
    ("lilya.websockets.Close", "lilya.websockets.WebSocketClose"),
    ("lilya.websockets.WebSocketState", "lilya.enums.WebSocketState"),
    ("lilya.websockets.WebSocketRuntimeError", "lilya.exceptions.WebSocketRuntimeError"),
    ("lilya.websockets.WebSocketDisconnect", "lilya.exceptions.WebSocketDisconnect"),
    ("lilya.middleware.Middleware", "lilya.middleware.DefineMiddleware"),
    ("lilya.middleware.base.DefineMiddleware", "lilya.middleware.DefineMiddleware"),
    ("lilya.permissions.Permission", "lilya.permissions.DefinePermission"),
    ("lilya.permissions.base.DefinePermission", "lilya.permissions.DefinePermission"),
    ("lilya.conf.Settings", "lilya.conf.global_settings.Settings"),
    ("lilya.Lilya", "lilya.apps.Lilya"),
    ("lilya.ChildLilya", "lilya.apps.ChildLilya"),
    ("lilya.WebSocket", "lilya.websockets.WebSocket"),
    ("lilya.responses.TextResponse", "lilya.responses.PlainText"),
    ("lilya.responses.HTML", "lilya.responses.HTMLResponse"),
    ("lilya.requests.Connection", "lilya._connection.Connection"),
]


def at(path: str) -> Any:
    """The object at a dotted path, members of classes included."""
    module, _, rest = path.partition(".")
    found: Any = import_module(module)
    for name in rest.split("."):
        found = getattr(found, name) if hasattr(found, name) else import_module(f"{found.__name__}.{name}")
    return found


@pytest.mark.parametrize(("alias", "home"), ALIASES)
def test_api_has_its_aliases(alias: str, home: str) -> None:
    """Two names of the same object."""
    assert at(alias) is at(home)


# What stands before `*` can be given by position, in this order; the rest by name.
LAYERS = {"middleware": None, "permissions": None, "exception_handlers": None, "before_request": None,
          "after_request": None, "dependencies": None}  # fmt: skip
HELD_TO = {"limits": None, "origins": None}
NO = inspect.Parameter.empty

SIGNATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lilya.websockets.WebSocket": ({"scope": NO, "receive": NO, "send": NO}, {}),
    "lilya.websockets.WebSocketDisconnect": ({"code": 1000, "reason": None}, {}),
    "lilya.websockets.WebSocketClose": ({"code": 1000, "reason": None}, {}),
    "lilya.websockets.WebSocket.accept": ({"subprotocol": None, "headers": None}, {}),
    "lilya.websockets.WebSocket.receive": ({}, {}),
    "lilya.websockets.WebSocket.receive_text": ({}, {}),
    "lilya.websockets.WebSocket.receive_bytes": ({}, {}),
    "lilya.websockets.WebSocket.receive_json": ({"mode": "text"}, {}),
    "lilya.websockets.WebSocket.iter_text": ({}, {}),
    "lilya.websockets.WebSocket.iter_bytes": ({}, {}),
    "lilya.websockets.WebSocket.iter_json": ({"mode": "text"}, {}),
    "lilya.websockets.WebSocket.send": ({"message": NO}, {}),
    "lilya.websockets.WebSocket.send_text": ({"data": NO}, {}),
    "lilya.websockets.WebSocket.send_bytes": ({"data": NO}, {}),
    "lilya.websockets.WebSocket.send_json": ({"data": NO, "mode": "text"}, {}),
    "lilya.websockets.WebSocket.tasks": ({}, {}),
    "lilya.websockets.WebSocket.close": ({"code": 1000, "reason": None}, {}),
    "lilya.websockets.WebSocket.send_denial_response": ({"response": NO}, {}),
    "lilya.routing.WebSocketPath": (
        {"path": NO, "handler": NO},
        {"name": None, "include_in_schema": True, **LAYERS, **HELD_TO},
    ),
    "lilya.routing.Path": (
        {"path": NO, "handler": NO},
        {"methods": None, "name": None, "include_in_schema": True, "deprecated": None, **LAYERS},
    ),
    "lilya.routing.Include": (
        {"path": NO, "app": None, "routes": None, "namespace": None, "pattern": None, "name": None},
        {**LAYERS, **HELD_TO, "include_in_schema": True, "deprecated": False, "redirect_slashes": True},
    ),
    "lilya.routing.Host": ({"host": NO, "app": NO, "name": None}, LAYERS),
    "lilya.routing.Router": (
        {
            "routes": None,
            "redirect_slashes": True,
            "default": None,
            "on_startup": None,
            "on_shutdown": None,
            "lifespan": None,
        },
        {
            **LAYERS,
            **HELD_TO,
            "instruments": None,
            "settings_module": None,
            "include_in_schema": True,
            "deprecated": None,
            "is_sub_router": False,
        },
    ),
    "lilya.routing.Router.add_route": ({"path": NO, "handler": NO, "methods": None, "name": None}, {"**": "options"}),
    "lilya.routing.NoMatchFound": ({"name": NO, "path_params": NO}, {}),
    # `debug` and the other values fall back to the settings: None says that nothing was given.
    "lilya.apps.Lilya": (
        {
            "debug": None,
            "settings_module": None,
            "routes": None,
            "middleware": None,
            "exception_handlers": None,
            "dependencies": None,
            "permissions": None,
            "on_startup": None,
            "on_shutdown": None,
            "before_request": None,
            "after_request": None,
            "redirect_slashes": None,
            "lifespan": None,
            "include_in_schema": None,
            "logging_config": None,
            "serializer_config": None,
            "populate_global_context": None,
            "enable_openapi": None,
            "openapi_config": None,
            "enable_intercept_global_exceptions": None,
            "root_path": None,
            "infer_body": False,
        },
        {**HELD_TO, "drain": None, "instruments": None},
    ),
    "lilya.apps.Lilya.add_child_lilya": (
        {
            "path": NO,
            "child": NO,
            "name": None,
            "middleware": None,
            "permissions": None,
            "exception_handlers": None,
        },
        {"**": "options"},
    ),
    "lilya.apps.Lilya.add_asgi_app": ({"path": NO, "child": NO, "name": None}, {"**": "options"}),
    "lilya.apps.Lilya.include": ({"path": NO, "app": None, "name": None}, {"**": "options"}),
    "lilya.apps.Lilya.host": ({"host": NO, "app": NO, "name": None}, {"**": "options"}),
    "lilya.apps.Lilya.add_middleware": ({"middleware": NO}, {"*": "args", "**": "kwargs"}),
    "lilya.apps.Lilya.add_permission": ({"permission": NO}, {"*": "args", "**": "kwargs"}),
    "lilya.apps.Lilya.add_exception_handler": ({"key": NO, "handler": NO}, {}),
    "lilya.apps.Lilya.add_event_handler": ({"event": NO, "hook": NO}, {}),
    "lilya.apps.Lilya.on_event": ({"event": NO}, {}),
    "lilya.apps.Lilya.override_dependency": ({"name": NO, "dependency": NO}, {}),
    "lilya.apps.Lilya.reset_dependency_overrides": ({}, {}),
    "lilya.apps.Lilya.path_for": ({"name": NO}, {"**": "path_params"}),
    "lilya.compat.reverse": ({"name": NO, "app": None, "path_params": None}, {"**": "params"}),
    "lilya.middleware.DefineMiddleware": ({"cls": NO}, {"*": "args", "**": "kwargs"}),
    "lilya.permissions.DefinePermission": ({"cls": NO}, {"*": "args", "**": "kwargs"}),
    "lilya.dependencies.Provide": (
        {"dependency": NO},
        {"*": "args", "use_cache": False, "scope": enums.Scope.REQUEST, "**": "kwargs"},
    ),
    "lilya.dependencies.Provides": ({}, {}),
    "lilya.dependencies.Resolve": ({"dependency": NO}, {}),
    "lilya.dependencies.Security": ({"dependency": NO}, {}),
    "lilya.dependencies.Depends": ({"dependency": NO}, {}),
    "lilya.exceptions.HTTPException": (
        {},
        {
            "*": "args",
            "status_code": None,
            "detail": None,
            "headers": None,
            "response": None,
            "accept_first": False,
            "**": "extra",
        },
    ),
    "lilya.exceptions.WebSocketException": ({"code": NO, "reason": None}, {"accept_first": False}),
    "lilya.drain.Drain": ({}, {"seconds": 20, "cancel_seconds": 5, "code": 1012, "reason": "service restart"}),
    "lilya.limits.Limits": ({}, DEFAULT_LIMITS),
    "lilya.transformers.register_path_transformer": ({"name": NO, "transformer": NO}, {}),
    "lilya.controllers.WebSocketController.on_connect": ({"websocket": NO}, {}),
    "lilya.controllers.WebSocketController.on_receive": ({"websocket": NO, "data": NO}, {}),
    "lilya.controllers.WebSocketController.on_disconnect": ({"websocket": NO, "close_code": NO}, {}),
    "lilya.controllers.WebSocketController.with_init": ({}, {"*": "args", "**": "kwargs"}),
    "lilya.requests.Request": ({"scope": NO, "receive": None, "send": None}, {}),
    "lilya.responses.Response": (
        {
            "content": None,
            "status_code": None,
            "headers": None,
            "cookies": None,
            "media_type": None,
            "background": None,
            "encoders": None,
        },
        {},
    ),
    # `timeout` is ours: no test may hang.
    "lilya.testclient.TestClient": (
        {
            "app": NO,
            "base_url": "http://testserver",
            "raise_server_exceptions": True,
            "root_path": "",
            "backend": "asyncio",
            "backend_options": None,
            "cookies": None,
            "headers": None,
            "follow_redirects": True,
            "check_asgi_conformance": True,
            "timeout": 5.0,
        },
        {},
    ),
    "lilya.testclient.override_settings": ({}, {"**": "values"}),
}
SIGNATURES["lilya.routing.BaseRouter"] = SIGNATURES["lilya.routing.Router"]
SIGNATURES["lilya.apps.ChildLilya"] = SIGNATURES["lilya.apps.Lilya"]
WEBSOCKET_OPTIONS = {
    "name": None,
    "middleware": None,
    "permissions": None,
    "exception_handlers": None,
    "dependencies": None,
    "before_request": None,
    "after_request": None,
}
for owner in ("lilya.apps.Lilya", "lilya.routing.Router"):
    SIGNATURES[f"{owner}.websocket"] = ({"path": NO, **WEBSOCKET_OPTIONS}, {**HELD_TO, "**": "options"})
    SIGNATURES[f"{owner}.add_websocket_route"] = (
        {"path": NO, "handler": NO, **WEBSOCKET_OPTIONS},
        {**HELD_TO, "**": "options"},
    )
    for verb in ("get", "head", "post", "put", "patch", "delete", "options", "trace"):
        SIGNATURES[f"{owner}.{verb}"] = ({"path": NO, "name": None}, {"**": "options"})
    SIGNATURES[f"{owner}.route"] = ({"path": NO, "methods": None, "name": None}, {"**": "options"})


def shape(function: Any) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """What can be given by position, in order, and what by name only, with their defaults."""
    by_position: list[tuple[str, Any]] = []
    by_name: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self" or parameter.name.startswith("_"):
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            by_name["*"] = parameter.name
        elif parameter.kind is parameter.VAR_KEYWORD:
            by_name["**"] = parameter.name
        elif parameter.kind is parameter.KEYWORD_ONLY:
            by_name[parameter.name] = parameter.default
        else:
            by_position.append((parameter.name, parameter.default))
    return by_position, by_name


@pytest.mark.parametrize("path", SIGNATURES)
def test_api_has_every_known_signature(path: str) -> None:
    """The same arguments, by position in the same order, with the same defaults."""
    by_position, by_name = SIGNATURES[path]
    assert shape(at(path)) == ([*by_position.items()], by_name)


CONNECTION = (
    "app url base_url headers query_params path_params cookies client server state user auth session is_secure "
    "path_for url_path_for"
)
MEMBERS: dict[str, str] = {
    "lilya.requests.Connection": CONNECTION,
    "lilya.requests.Request": f"{CONNECTION} method body json text stream",
    "lilya.websockets.WebSocket": (
        f"{CONNECTION} client_state application_state accept receive send receive_text receive_bytes receive_json "
        "iter_text iter_bytes iter_json send_text send_bytes send_json close send_denial_response add_cleanup "
        "raise_for_disconnect raise_for_connection_state keys items values get __aiter__ id closed close_code "
        "close_reason draining expires_at tasks"
    ),
    "lilya.apps.Lilya": (
        "routes exception_handlers dependencies path_for url_path_for websocket get head post put patch delete options "
        "trace route add_route add_websocket_route include host add_child_lilya add_asgi_app add_middleware "
        "add_permission add_exception_handler add_event_handler on_event override_dependency "
        "reset_dependency_overrides stats debug serializer"
    ),
    "lilya.routing.Router": (
        "routes path_for url_path_for websocket get head post put patch delete options trace route add_route "
        "add_websocket_route include host add_event_handler on_event"
    ),
    "lilya.routing.Path": "path_for url_path_for",
    "lilya.routing.Include": "path_for url_path_for routes",
    "lilya.routing.Host": "path_for url_path_for routes",
    "lilya.controllers.WebSocketController": (
        "encoding on_connect on_receive on_disconnect permissions middleware exception_handlers dependencies "
        "before_request after_request with_init __await__"
    ),
    "lilya.datastructures.URL": (
        "scheme netloc path query fragment username password hostname port is_secure parsed_url url base_url replace "
        "include_query_params remove_query_params replace_query_params relative_url build_from_scope"
    ),
    "lilya.datastructures.Header": (
        "get getall getlist get_all encoded_multi_items get_encoded_multi_items from_scope keys items values"
    ),
    "lilya.datastructures.QueryParam": "get getall keys items values",
    "lilya.datastructures.URLPath": "protocol host make_absolute_url",
    "lilya.encoders.Encoder": "__type__ serialize encode",
    "lilya.transformers.Transformer": "regex transform normalise",
    "lilya.testclient.TestClient": (
        "websocket_connect authenticate authenticated logout routes app app_state get post put patch delete head"
    ),
    "lilya.testclient.WebSocketTestSession": (
        "scope accepted_subprotocol extra_headers send receive send_text send_bytes send_json receive_text "
        "receive_bytes receive_json close"
    ),
    "lilya.responses.Response": "set_cookie delete_cookie raw_headers",
}


@pytest.mark.parametrize("path", MEMBERS)
def test_api_has_every_known_member(path: str) -> None:
    """What users call and read on the objects of a class."""
    owner = at(path)
    declared = {name for cls in owner.__mro__ for name in getattr(cls, "__annotations__", {})}
    assert [name for name in MEMBERS[path].split() if not hasattr(owner, name) and name not in declared] == []


@pytest.mark.parametrize(
    ("cls", "bases"),
    [
        (exceptions.WebSocketRuntimeError, (RuntimeError,)),
        (exceptions.ImproperlyConfigured, (exceptions.HTTPException, ValueError)),
        (exceptions.ContinueRouting, (BaseException,)),
        (WebSocket, (Connection,)),
        (Request, (Connection,)),
        (URL, (str,)),
        (WebSocketDenialResponse, (WebSocketDisconnect,)),
        (BackgroundTask, (Task,)),
        (responses.Ok, (responses.Response,)),
        (routing.Router, (routing.RoutingMethodsMixin,)),
        (lilya.ChildLilya, (lilya.Lilya,)),
    ],
)
def test_api_has_its_known_hierarchy(cls: type, bases: tuple[type, ...]) -> None:
    """What `isinstance` and `except` of existing applications count on."""
    assert issubclass(cls, bases)
    assert all(issubclass(cls, base) for base in bases)


def test_api_keeps_apart_what_must_not_be_caught_together() -> None:
    """A disconnect is no RuntimeError; ContinueRouting is no Exception."""
    assert not issubclass(WebSocketDisconnect, RuntimeError)
    assert not issubclass(exceptions.ContinueRouting, Exception)


@pytest.mark.parametrize(
    ("name", "status_code"),
    [
        ("HTTPException", 500),
        ("PermissionDenied", 403),
        ("NotAuthorized", 401),
        ("NotFound", 404),
        ("MethodNotAllowed", 405),
        ("UnprocessableEntity", 422),
        ("ImproperlyConfigured", 500),
        ("InternalServerError", 500),
        ("ValidationError", 400),
    ],
)
def test_api_has_its_known_status_codes(name: str, status_code: int) -> None:
    """Every HTTP exception has its status, and shows it."""
    error = getattr(exceptions, name)("why")
    assert (error.status_code, error.detail, error.headers, error.response) == (status_code, "why", None, None)
    assert str(error) == ("why" if name == "ImproperlyConfigured" else f"{status_code}: why")


def test_api_has_its_known_enums() -> None:
    """Words compare equal to their text, and `str()` is the text; states are numbers."""
    assert [state.value for state in websockets.WebSocketState][:3] == [0, 1, 2]
    assert issubclass(websockets.WebSocketState, IntEnum)
    for enum in (enums.Event, enums.EventType, enums.HTTPMethod, enums.MediaType, enums.Scope, enums.ScopeType):
        assert issubclass(enum, StrEnum)
        for word in enum:
            assert word == word.value == str(word)
    assert {str(scope) for scope in enums.Scope} == {"request", "app", "global"}


def test_api_has_every_status_code() -> None:
    """Every HTTP status and every WebSocket close code has a name that begins with its number."""
    named = {name: value for name, value in vars(status).items() if name.startswith(("HTTP_", "WS_"))}
    assert all(name.split("_")[1] == str(value) for name, value in named.items())
    codes = {value for name, value in named.items() if name.startswith("WS_")}
    assert codes >= {*range(1000, 1004), *range(1005, 1016)}
    assert {value for name, value in named.items() if name.startswith("HTTP_")} >= {100, 101, 200, 303, 404, 418, 500}


def test_api_says_its_version() -> None:
    """The package and its applications say the same."""
    assert lilya.__version__ == __version__ == lilya.Lilya().version
