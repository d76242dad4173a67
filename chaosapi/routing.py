"""Find the route of a request: match the app's own routes in the order of its routers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final, Protocol

from starlette.endpoints import HTTPEndpoint
from starlette.routing import BaseRoute, Match
from starlette.routing import Route as StarletteRoute
from starlette.types import Scope

from chaosapi.frameworks import route_path
from chaosapi.routes import EXEMPT, UNKNOWN, Route, covers, first_segment, is_probe

_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 256
"""The longest path, in characters, whose route is remembered."""

_ANY: Final = ":path}"
"""The end of the template of a catch-all route, such as that of a mounted app whose routes are unknown."""

Matches = Callable[[Scope], tuple[Match, Scope]]
"""The framework's method that says whether its route is for a request, and what it adds to the scope."""


class HasRoutes(Protocol):
    """An app, a router or a mount."""

    @property
    def routes(self) -> Sequence[BaseRoute]: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A route of the framework, and what it leads to."""

    matches: Matches
    leads_to: "Route | Router"
    start: str = ""
    """The prefix of every path that the route matches."""
    static: bool = False
    """Whether `start` is the only path that the route matches."""
    by_path: bool = True
    """Whether path, root path and HTTP method alone decide whether the route matches."""
    root_path: str = ""
    """The root path that the mounted app sets instead of the path of its mount, which it then does not expect."""

    def follow(self, scope: Scope, added: Scope) -> Route | None:
        """Return the route to which a request that matched is led."""
        target = self.leads_to
        if isinstance(target, Route):
            return target
        inner = {**scope, **added}
        if self.root_path:
            inner["root_path"] = self.root_path
        return target.find(inner, route_path(inner))


class Router:
    """The entries of a router, in order, indexed by the directory that their paths begin with."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        static: dict[str, list[int]] = defaultdict(list)
        below: dict[str, list[int]] = defaultdict(list)
        for number, entry in enumerate(entries):
            (static if entry.static else below)[entry.start].append(number)
        self._entries = entries
        self._static = {path: self._in_order(below, path, numbers) for path, numbers in static.items()}
        self._below = {start: self._in_order(below, start) for start in {"", *below}}
        self._longest = max(map(len, below), default=0)
        inner = [entry.leads_to for entry in entries if isinstance(entry.leads_to, Router)]
        self.by_path: bool = all(entry.by_path for entry in entries) and all(router.by_path for router in inner)
        """Whether path, root path and HTTP method alone decide which route is found."""

    def _in_order(self, below: dict[str, list[int]], path: str, numbers: Iterable[int] = ()) -> list[Entry]:
        """Return the entries of these numbers and of all directories that `path` begins with, in the router's order."""
        folders = ["", *(path[: end + 1] for end, letter in enumerate(path) if letter == "/")]
        return [self._entries[each] for each in sorted(chain(numbers, *(below.get(folder, ()) for folder in folders)))]

    def routes(self) -> Iterator[Route]:
        """Yield all routes that a request can be led to."""
        for entry in self._entries:
            yield from (entry.leads_to,) if isinstance(entry.leads_to, Route) else entry.leads_to.routes()

    def find(self, scope: Scope, path: str) -> Route | None:
        """Return the first route that matches path and method, else the first of the path, as the framework does.

        `path` is the route path of the request.
        """
        partial: tuple[Entry, Scope] | None = None
        for entry in self._candidates(path):
            match, added = entry.matches(scope)
            if match is Match.FULL:
                return entry.follow(scope, added)
            if match is Match.PARTIAL and partial is None:
                partial = entry, added
        return partial[0].follow(scope, partial[1]) if partial else None

    def _candidates(self, path: str) -> Sequence[Entry]:
        """Return the entries that may match: a static route also matches its path with a line end."""
        if (found := self._static.get(path.removesuffix("\n"))) is not None:
            return found
        end = min(len(path), self._longest)
        while end := path.rfind("/", 0, end) + 1:
            if (found := self._below.get(path[:end])) is not None:
                return found
            end -= 1
        return self._below[""]


class RouteTable:
    """The routes that carry user traffic; finds the template of a request's route before the app's router runs.

    An app may add routes while it starts, or later: `refresh` reads them again.
    """

    def __init__(
        self,
        read: Callable[[], Router],
        exempt: Iterable[str] = (),
        sources: Callable[[], Iterable[HasRoutes]] = tuple,
    ) -> None:
        """`read` reads the app's routes, which `sources` have; `exempt` are patterns of paths that are exempt here."""
        self._read = read
        self._exempt = tuple(exempt)
        self._find_sources = sources
        self._observers: list[Callable[[], None]] = []
        self.refresh()

    @classmethod
    def of(cls, routes: Iterable[Route], exempt: Iterable[str] = ()) -> "RouteTable":
        """Return the table of an app whose routes the framework does not know, whatever the method."""
        entries = [
            Entry(StarletteRoute(each.template, HTTPEndpoint).matches, each, *start_of(each.template))
            for each in routes
        ]
        return cls(lambda: Router(entries), exempt)

    def refresh(self) -> None:
        """Read the app's routes, and call those who subscribed."""
        self._sources = tuple(self._find_sources())
        self._counted = self._count()
        self._router = self._read()
        every = list(self._router.routes())
        self.own = frozenset(each.template for each in every if each.exempt or self._covered(each.template))
        """The templates of exempt routes of the app."""
        self.routes = tuple(each for each in every if each.template not in self.own)
        """The routes that are not exempt."""
        self._remembered = lru_cache(_REMEMBERED)(self._find_by_path)
        for observer in self._observers:
            observer()

    def refresh_if_added(self) -> bool:
        """Read the app's routes if their number has changed, and return whether it has."""
        changed = self._count() != self._counted
        if changed:
            self.refresh()
        return changed

    def _count(self) -> int:
        """Return the number of routes, without a look at each: every path that no route matches needs it."""
        return sum(len(each.routes) for each in self._sources)

    def subscribe(self, observer: Callable[[], None]) -> None:
        """Call `observer` whenever the routes have been read again."""
        self._observers.append(observer)

    @property
    def templates(self) -> list[str]:
        """Return every template once, in order."""
        return list(dict.fromkeys(each.template for each in self.routes))

    def handler(self, scope: Scope) -> str | None:
        """Return the template of a request's route, `"none"` where no route matches; None where it is exempt."""
        path = scope["path"]
        if self._router.by_path and len(path) <= _LONGEST_REMEMBERED:
            found = self._remembered(path, scope.get("root_path", ""), scope["method"])
        else:
            found = self._ask(dict(scope))  # a route of the app may change it
        if found == UNKNOWN and self.refresh_if_added():
            found = self._ask(dict(scope))
        return found

    def _find_by_path(self, path: str, root_path: str, method: str) -> str | None:
        return self._ask({"type": "http", "path": path, "root_path": root_path, "method": method, "headers": []})

    def _ask(self, scope: Scope) -> str | None:
        path = route_path(scope)
        if self._exempt and self._covered(path):
            return None
        try:
            found = self._router.find(scope, path)
        except Exception:  # noqa: BLE001 - the app's router raises it, too, and the app answers that
            return UNKNOWN
        named = first_segment(path)
        if named in EXEMPT and (found is None or first_segment(found.template) != named):
            return None
        if found is None:
            return UNKNOWN
        if found.template in self.own or (found.template.endswith(_ANY) and is_probe(path)):
            return None
        return found.template

    def _covered(self, path: str) -> bool:
        return any(covers(pattern, path) for pattern in self._exempt)


def start_of(path: str) -> tuple[str, bool]:
    """Return what all paths of a template begin with, up to a slash, and whether that is the whole path."""
    parameter = path.find("{")
    return (path, True) if parameter < 0 else (path[: path.rfind("/", 0, parameter) + 1], False)
