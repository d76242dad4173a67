"""Calls of HTTP APIs, each written once as a generator of requests, for clients with and without `await`."""

import functools
import inspect
import json
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeAlias, TypeVar, cast, get_args

import httpx2
from pydantic import TypeAdapter, ValidationError

from chaosapi.clients.errors import (
    ClientError,
    InvalidURLError,
    NoAnswerError,
    RefusedError,
    UnauthorizedError,
    UnreachableError,
)

P = ParamSpec("P")
T = TypeVar("T")
Json: TypeAlias = dict[str, Any]

_FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL)


@dataclass(frozen=True)
class Request:
    """One HTTP request; `options` are those of httpx2, such as `params` and `json`."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


Exchange: TypeAlias = Generator[Request, httpx2.Response, T]
"""Yields requests, receives their responses, returns the result; without a response a ClientError is thrown in."""


def asked(
    method: str, path: str, shape: type[T], headers: Mapping[str, str] | None = None, **options: Any
) -> Exchange[T]:
    """Return the JSON of the response, None for an empty body; query parameters that are None are left out.

    NoAnswerError is raised unless the JSON has this shape: the type of a JSON value, mostly a TypedDict.
    """
    if "params" in options:
        options["params"] = {name: value for name, value in options["params"].items() if value is not None}
    response = yield Request(method, path, headers or {}, options)
    found: T = content(response, shape)
    return found


def pages(path: str, items: str, shape: type[T], params: Mapping[str, Any]) -> Exchange[T]:
    """Return the last page, which has no `next` or no items, with all items; `items` is the name of their field."""
    page: Any = yield from asked("GET", path, shape, params=params)
    found = list(page[items])
    while page[items] and page.get("next"):
        page = yield from asked("GET", path + page["next"], shape)
        found += page[items]
    whole: Any = {**page, items: found}
    return cast("T", whole)


def ready(path: str) -> Exchange[bool]:
    """Return whether a probe answers 200."""
    try:
        response = yield Request("GET", path)
    except ClientError:
        return False
    return response.status_code == httpx2.codes.OK


def text(path: str) -> Exchange[str]:
    """Return the text of a response, such as /metrics."""
    response = yield Request("GET", path)
    if not response.is_success:
        raise RefusedError(f"it answered {response.status_code}", response.status_code)
    return response.text


def content(response: httpx2.Response, shape: Any = Any) -> Any:
    """Return the JSON of a response; raises NoAnswerError, UnauthorizedError or RefusedError."""
    status = response.status_code
    if response.is_success and not response.content:
        return checked(None, shape, status)  # Alertmanager answers some requests with an empty body
    try:
        found = _read(response.text)
    except (ValueError, RecursionError) as error:
        raise NoAnswerError(f"it answered {status} without JSON", status) from error
    if response.is_success:
        return checked(found, shape, status)
    problem = found if isinstance(found, dict) else {}
    if status == httpx2.codes.UNAUTHORIZED:
        raise UnauthorizedError("the token is missing or wrong", status, problem)
    text = problem.get("detail") or problem.get("error") or problem.get("message")  # ours, Prometheus', Alertmanager's
    if not isinstance(found, dict):
        text = found
    raise RefusedError(str(text or f"it answered {status}"), status, problem)


def checked(found: Any, shape: Any, status: int) -> Any:
    """Return what was found if it has the shape, else raise NoAnswerError; fields that the shape lacks are kept."""
    try:
        _adapter(shape).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise NoAnswerError(f"it answered {status} with other JSON ({where}: {first['msg']})", status) from None
    return found


@functools.cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _read(text: str) -> Any:
    """Read JSON; a lone surrogate, which cannot be encoded as UTF-8, becomes a question mark."""
    found = json.loads(text)
    if "\\ud" not in text.lower():
        return found
    return json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))


class Client:
    """Runs exchanges over an httpx2.Client; creates and closes one of its own if `service` is a URL.

    `headers` are sent with every request. `timeout_s` applies to a client of its own.
    """

    def __init__(
        self, service: str | httpx2.Client, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> None:
        self._own = isinstance(service, str)
        with _invalid_url_refused():
            self._http = httpx2.Client(base_url=service, timeout=timeout_s) if isinstance(service, str) else service
        self._headers = dict(headers or {})

    def run(self, exchange: Exchange[T]) -> T:
        """Return the result of an exchange; raises ClientError."""
        try:
            request = next(exchange)
            while True:
                headers = _encoded({**self._headers, **request.headers})
                try:
                    response = self._http.request(request.method, request.path, headers=headers, **request.options)
                except _FAILURES as error:
                    request = exchange.throw(_failed(error))
                else:
                    request = exchange.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    def close(self) -> None:
        """Close the connections."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """Client with `await`, over an httpx2.AsyncClient."""

    def __init__(
        self, service: str | httpx2.AsyncClient, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> None:
        self._own = isinstance(service, str)
        with _invalid_url_refused():
            self._http = (
                httpx2.AsyncClient(base_url=service, timeout=timeout_s) if isinstance(service, str) else service
            )
        self._headers = dict(headers or {})

    async def run(self, exchange: Exchange[T]) -> T:
        """Return the result of an exchange; raises ClientError."""
        try:
            request = next(exchange)
            while True:
                headers = _encoded({**self._headers, **request.headers})
                try:
                    response = await self._http.request(
                        request.method, request.path, headers=headers, **request.options
                    )
                except _FAILURES as error:
                    request = exchange.throw(_failed(error))
                else:
                    request = exchange.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    async def close(self) -> None:
        """Close the connections."""
        if self._own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def blocking(call: Callable[P, Exchange[T]]) -> Callable[Concatenate[Client, P], T]:
    """Return a call as a method of a Client."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(call(*args, **kwargs))

    _describe(method, call)
    return method


def awaitable(call: Callable[P, Exchange[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """Return a call as a method of an AsyncClient."""

    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(call(*args, **kwargs))

    _describe(method, call)
    return method


def _describe(method: Any, call: Callable[..., Any]) -> None:
    """Copy the name, the docstring and the signature of a call to its method, for help() and editors."""
    signature = inspect.signature(call)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = get_args(signature.return_annotation)[-1]
    method.__signature__ = signature.replace(parameters=[own, *signature.parameters.values()], return_annotation=result)
    method.__name__ = method.__qualname__ = call.__name__
    method.__doc__ = call.__doc__


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]  # httpx2 refuses non-ASCII text


@contextmanager
def _invalid_url_refused() -> Iterator[None]:
    try:
        yield
    except httpx2.InvalidURL as error:
        raise _failed(error) from error


def _failed(error: Exception) -> ClientError:
    """Return the ClientError for an httpx2 error, which becomes its cause."""
    if isinstance(error, httpx2.InvalidURL):
        failed: ClientError = InvalidURLError(f"this is not a URL: {error}")
    elif isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        failed = UnreachableError("nothing answers there")
    else:
        failed = NoAnswerError(f"no answer ({type(error).__name__})")
    failed.__cause__ = error
    return failed
