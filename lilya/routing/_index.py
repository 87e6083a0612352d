"""
The segment trie: which declared patterns match a path, in the order of their declaration.

It holds numbers, never routes. Its meaning is the naive scan

    [(number, groups) for number, pattern in enumerate(patterns) if pattern.regex.fullmatch(path)]

and its cost is that of walking down the path once: literals are found in dictionaries, a `str` segment is one child,
typed and mixed segments are grouped by their first and last literal. A path takes the same time among 10 patterns and
among 5,000, and time linear in its length.

    /
    ├── "ws"
    │   └── (anything)      ends: 0       /ws/{name}
    └── "files"
        └── tails                         read backwards, from the end of the path
            ├── everything  ends: 1       /files/{p:path}
            └── "edit"
                └── everything  ends: 2   /files/{p:path}/edit

All alternatives are followed side by side, level by level (a *frontier*), so there is neither backtracking nor
recursion. What a frontier can hold is bounded by the patterns, not by the path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from lilya.routing._pattern import Pattern, Segment
from lilya.routing._shape import Shape

__all__ = ["Index", "Match"]

# A pattern's number, and the texts of its parameters from left to right.
Match: TypeAlias = "tuple[int, list[str]]"


class Index:
    """
    Patterns under their declaration numbers. Filled at startup; after that any number of tasks may read it.

    Paths are percent-decoded. `/ws` and `/ws/` are two paths. A match speaks of texts only: `Pattern.convert` has
    the last word, since a text can have the right form and still be no value (`2024-13-01T00:00:00`).
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, pattern: Pattern, number: int) -> None:
        """Take in a pattern; numbers are added in ascending order."""
        way = [self._root]
        for place, segment in enumerate(pattern.segments):
            if isinstance(segment, Shape) and segment.multi:
                way.append(way[-1].tail())
                for later in reversed(pattern.segments[place + 1 :]):
                    way.append(way[-1].child(later))
                way.append(way[-1].span())
                way.append(way[-1].child(segment))
                break
            way.append(way[-1].child(segment))
        way[-1].ends.append(number)
        for node in reversed(way):
            node.first = number if node.first is None else node.first
            node.settle()

    def match(self, path: str) -> list[Match]:
        """
        All patterns that match the whole path, by ascending number, with the texts of their parameters.

        Matches may share one list of texts; do not change it.
        """
        rest = iter(path.split("/"))
        if next(rest):
            return []
        # The straight way down: while there is one way to go on, nothing has to be kept side by side.
        node = self._root
        values: list[str] = []
        for part in rest:
            child = node.only
            if child is None:
                child = node.straight.get(part)
                if child is None:
                    return _search(node, values, [part, *rest]) if node.forks else []
            elif node.literals and part in node.literals:
                return _search(node, values, [part, *rest])
            else:
                if node.accepts is not None:
                    part = "/".join([part, *rest]) if node.takes_rest else part
                    if not node.accepts(part):
                        return []
                elif not part:
                    return []
                values.append(part)
            node = child
        ends = node.ends
        return [(ends[0], values)] if len(ends) == 1 else [(number, values) for number in ends]

    def nearest(self, path: str) -> int | None:
        """
        The first pattern among those that share the most leading segments with the path; for hints.

        None if there are no patterns, or the path does not begin with a slash.
        """
        empty, *parts = path.split("/")
        if empty:
            return None
        frontier: list[_Reached] = [(self._root, [])]
        for part in parts:
            following: list[_Reached] = []
            for node, _ in frontier:
                node.step(part, [], following)
            if not following:
                break
            frontier = following
        return min((node.first for node, _ in frontier if node.first is not None), default=None)

    def covered(self, pattern: Pattern) -> int | None:
        """
        The first earlier pattern that matches whatever this one matches, so that this one's turn never comes.

        Compares segment by segment and errs on the side of None; paths with a line break are left out of account
        (a `path` parameter does not match them, a `str` does).
        """
        found = _search(self._root, [], pattern.segments, surely=True)
        return found[0][0] if found else None


class _Node:
    """
    What can come next at one place of the trie, and the numbers of the patterns that end there.

    Parameters that are whole segments (`wholes`) are of few types. Mixed shapes may be many, and are found by the
    literals at their two ends: there is one group for each pair of *lengths* of these, so that a text is cut once per
    group and looked up. The tree under `tails` is read from the end of the path; there, the parameters under `spans`
    may contain slashes and take what is left.

    Where a parameter is the only way to go on apart from literals, it stands in `only` and `accepts` (None: any text
    but the empty one), and `takes_rest` tells whether it takes all that is left of the path; where there are only
    literals, they stand in `straight`. Else these are empty, and `forks` is true.
    """

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.wholes: list[tuple[Shape, _Node]] = []
        self.groups: dict[tuple[int, int], dict[tuple[str, str], list[tuple[Shape, _Node]]]] = {}
        self.tails: _Node | None = None
        self.spans: _Node | None = None
        self.ends: list[int] = []
        # The smallest number here or below.
        self.first: int | None = None
        self.settle()

    def settle(self) -> None:
        """Bring `straight`, `only`, `accepts`, `takes_rest` and `forks` up to date; after the nodes below."""
        ways = bool(self.groups) + len(self.wholes) + (self.tails is not None)
        self.straight: dict[str, _Node] = {} if ways else self.literals
        self.only: _Node | None = None
        self.accepts: Callable[[str], object] | None = None
        self.takes_rest = False
        if ways == 1 and self.wholes:
            shape, self.only = self.wholes[0]
            self.accepts = None if shape.anything else shape.fullmatch
        elif ways == 1 and self.tails is not None and not self.literals:
            tails, spans = self.tails, self.tails.spans
            if spans is not None and not (tails.literals or tails.wholes or tails.groups):
                self.only, self.accepts, self.takes_rest = spans.only, spans.accepts, True
        self.forks = ways > 0 and self.only is None

    def child(self, segment: Segment) -> _Node:
        """The node below this segment; made if missing."""
        if isinstance(segment, str):
            node = self.literals.setdefault(segment, _Node())
        else:
            shapes = self.wholes
            if not segment.whole:
                shapes = self.groups.setdefault(segment.lengths, {}).setdefault(segment.ends, [])
            same = [node for shape, node in shapes if shape.key == segment.key]
            node = same[0] if same else _Node()
            if not same:
                shapes.append((segment, node))
        return node

    def tail(self) -> _Node:
        """The root of the tree that is read from the end of the path; made if missing."""
        self.tails = self.tails or _Node()
        return self.tails

    def span(self) -> _Node:
        """The node for what takes the rest when the path has been read up to here from its end; made if missing."""
        self.spans = self.spans or _Node()
        return self.spans

    def step(self, part: str, values: list[str], reached: list[_Reached]) -> None:
        """Add the nodes that this segment of a path leads to, with `values` and the texts of its parameters."""
        child = self.literals.get(part)
        if child is not None:
            reached.append((child, values))
        for shape, child in self.wholes:
            if part if shape.anything else shape.fullmatch(part):
                reached.append((child, [*values, part]))
        if self.groups:
            for (before, after), group in self.groups.items():
                for shape, child in group.get((part[:before], part[len(part) - after :]), ()):
                    texts = shape.match(part)
                    if texts is not None:
                        reached.append((child, values + texts))

    def cover(self, segment: Segment | None, values: list[str], reached: list[_Reached]) -> None:
        """Add the nodes to which whatever this segment of a pattern matches leads; None: any number of segments."""
        if isinstance(segment, str):
            if segment in self.literals:
                reached.append((self.literals[segment], values))
            beside = [
                below
                for (before, after), group in self.groups.items()
                for below in group.get((segment[:before], segment[len(segment) - after :]), ())
            ]
        else:
            beside = self.groups.get(segment.lengths, {}).get(segment.ends, []) if segment else []
        reached += [(child, values) for shape, child in self.wholes + beside if shape.covers(segment)]


_Reached: TypeAlias = "tuple[_Node, list[str]]"


def _search(node: _Node, values: list[str], parts: Sequence[Any], surely: bool = False) -> list[Match]:
    # The general walk, from a node where there may be more than one way to go on; `surely` with segments of a pattern.
    step: Callable[[_Node, Any, list[str], list[_Reached]], None] = _Node.cover if surely else _Node.step
    found: list[Match] = []
    frontier: list[_Reached] = [(node, values)]
    for place, part in enumerate(parts):
        following: list[_Reached] = []
        for node, values in frontier:
            if node.tails is not None:
                _search_tails(node.tails, values, parts[place:], found, surely)
            step(node, part, values, following)
        frontier = following
        if not frontier:
            break
    for node, values in frontier:
        for number in node.ends:
            found.append((number, values))
    return sorted(found, key=itemgetter(0)) if len(found) > 1 else found


def _search_tails(tails: _Node, left: list[str], parts: Sequence[Any], found: list[Match], surely: bool) -> None:
    # From the end of the path towards its start; at least one segment is left to the parameter that spans.
    step: Callable[[_Node, Any, list[str], list[_Reached]], None] = _Node.cover if surely else _Node.step
    frontier: list[_Reached] = [(tails, [])]
    for stop in range(len(parts), 0, -1):
        following: list[_Reached] = []
        for node, right in frontier:
            reached: list[_Reached] = []
            if node.spans is not None:
                text = parts[0] if stop == 1 else None if surely else "/".join(parts[:stop])
                step(node.spans, text, left, reached)
                for leaf, texts in reached:
                    for number in leaf.ends:
                        found.append((number, texts + right))
                reached = []
            step(node, parts[stop - 1], [], reached)
            for child, texts in reached:
                following.append((child, texts + right))
        frontier = following
        if not frontier:
            break
