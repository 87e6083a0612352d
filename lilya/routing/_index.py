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

from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from typing import TypeAlias

from lilya.routing._pattern import Pattern, Segment, Shape

__all__ = ["Index", "Match"]

# A pattern's number, and the texts of its parameters from left to right.
Match: TypeAlias = tuple[int, list[str]]


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
        node = self._root
        segments = pattern.segments
        for place, segment in enumerate(segments):
            node.first = number if node.first is None else node.first
            if isinstance(segment, Shape) and segment.multi:
                node = node.tail()
                for later in reversed(segments[place + 1 :]):
                    node = node.child(later)
                node = node.span(segment)
                break
            node = node.child(segment)
        node.first = number if node.first is None else node.first
        node.ends.append(number)

    def match(self, path: str) -> list[Match]:
        """
        All patterns that match the whole path, by ascending number, with the texts of their parameters.

        Matches may share one list of texts; do not change it.
        """
        # The straight way down: while there is one way to go on, nothing has to be kept side by side.
        node = self._root
        values: list[str] = []
        rest = iter(path.split("/"))
        if next(rest):
            return []
        for part in rest:
            child = node.straight.get(part)
            if child is None:
                child = node.only
                if child is None or not part:
                    return _search(node, values, [part, *rest]) if node.forks else []
                values.append(part)
            node = child
        ends = node.ends
        return [(ends[0], values)] if len(ends) == 1 else list(zip(ends, repeat(values)))

    def nearest(self, path: str) -> int | None:
        """
        The first pattern among those that share the most leading segments with the path; for hints.

        None if there are no patterns, or the path does not begin with a slash.
        """
        frontier = [self._root]
        parts = path.split("/")
        if parts[0]:
            return None
        for part in parts[1:]:
            following: list[_Reached] = []
            for node in frontier:
                node.step(part, [], following)
            if not following:
                break
            frontier = [node for node, _ in following]
        return min((node.first for node in frontier if node.first is not None), default=None)

    def covered(self, pattern: Pattern) -> int | None:
        """
        The first earlier pattern that matches whatever this one matches, so that this one's turn never comes.

        Compares segment by segment and errs on the side of None; paths with a line break are left out of account
        (a `path` parameter does not match them, a `str` does).
        """
        found: list[int] = []
        frontier = [self._root]
        for place, segment in enumerate(pattern.segments):
            for node in frontier:
                if node.tails is not None:
                    found += _covering_tails(node.tails, pattern.segments[place:])
            frontier = [child for node in frontier for child in node.covering(segment)]
        found += [node.ends[0] for node in frontier if node.ends]
        return min(found, default=None)


class _Node:
    """
    What can come next at one place of the trie, and the numbers of the patterns that end there.

    In the tree under `tails`, which is read from the end of the path, `everything` and `spans` say what the one
    parameter that may contain slashes has to match; their leaves carry the numbers.

    `forks` says that more than one of `literals`, `anything`, `shapes` and `tails` is to be asked, or one of the last
    two. Where it is false, `straight` and `only` are `literals` and `anything`; where it is true, they are empty.
    """

    __slots__ = (
        "anything",
        "ends",
        "everything",
        "first",
        "forks",
        "literals",
        "only",
        "shapes",
        "spans",
        "straight",
        "tails",
    )

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.anything: _Node | None = None
        self.shapes: _Shapes | None = None
        self.tails: _Node | None = None
        self.everything: _Node | None = None
        self.spans: _Shapes | None = None
        self.ends: list[int] = []
        # The smallest number here or below.
        self.first: int | None = None
        self.settle()

    def settle(self) -> None:
        """Bring `forks`, `straight` and `only` up to date."""
        mixed = bool(self.literals) and self.anything is not None
        self.forks = mixed or self.shapes is not None or self.tails is not None
        self.straight = {} if self.forks else self.literals
        self.only = None if self.forks else self.anything

    def child(self, segment: Segment) -> "_Node":
        """The node below this segment; made if missing."""
        if isinstance(segment, str):
            node = self.literals.get(segment)
            if node is None:
                node = self.literals[segment] = _Node()
        elif segment.anything:
            node = self.anything = self.anything or _Node()
        else:
            self.shapes = self.shapes or _Shapes()
            node = self.shapes.child(segment)
        self.settle()
        return node

    def tail(self) -> "_Node":
        """The root of the tree that is read from the end of the path; made if missing."""
        self.tails = self.tails or _Node()
        self.settle()
        return self.tails

    def span(self, shape: Shape) -> "_Node":
        """The leaf for a multi shape; made if missing."""
        if shape.everything:
            self.everything = self.everything or _Node()
            return self.everything
        self.spans = self.spans or _Shapes()
        return self.spans.child(shape)

    def step(self, part: str, values: list[str], reached: list["_Reached"]) -> None:
        """Add the nodes that this segment of a path leads to, with `values` and the texts of its parameters."""
        child = self.literals.get(part)
        if child is not None:
            reached.append((child, values))
        if self.anything is not None and part:
            reached.append((self.anything, [*values, part]))
        if self.shapes is not None:
            self.shapes.match(part, values, reached)

    def spanning(self, text: str) -> list["_Reached"]:
        """The leaves whose multi shape matches the text, with the texts of its parameters."""
        reached: list[_Reached] = []
        if self.everything is not None and "\n" not in text:
            reached.append((self.everything, [text]))
        if self.spans is not None:
            self.spans.match(text, [], reached)
        return reached

    def covering(self, segment: Segment) -> list["_Node"]:
        """The nodes that whatever this segment of a pattern matches leads to."""
        nodes: list[_Node] = []
        if isinstance(segment, str):
            if segment in self.literals:
                nodes.append(self.literals[segment])
            takes_anything = segment != ""
        else:
            takes_anything = not (segment.multi or segment.nullable)
        if self.anything is not None and takes_anything:
            nodes.append(self.anything)
        return nodes if self.shapes is None else nodes + self.shapes.covering(segment)


_Reached: TypeAlias = tuple[_Node, list[str]]


class _Shapes:
    """
    Shapes and the nodes below them, found by the literals at their two ends.

    There is one group for each pair of *lengths* of these literals: a text is cut once per group and looked up. Whole
    segments of one type are kept apart, since they are the common case and their regex alone decides.
    """

    __slots__ = ("_groups", "_nodes", "_whole")

    def __init__(self) -> None:
        self._groups: dict[tuple[int, int], dict[tuple[str, str], list[tuple[Shape, _Node]]]] = {}
        self._nodes: dict[tuple[object, ...], _Node] = {}
        self._whole: list[tuple[Shape, _Node]] = []

    def child(self, shape: Shape) -> _Node:
        """The node below this shape; made if missing."""
        node = self._nodes.get(shape.key)
        if node is None:
            node = self._nodes[shape.key] = _Node()
            head, tail = shape.literals[0], shape.literals[-1]
            if shape.whole:
                self._whole.append((shape, node))
                return node
            self._groups.setdefault((len(head), len(tail)), {}).setdefault((head, tail), []).append((shape, node))
        return node

    def match(self, text: str, values: list[str], reached: list[_Reached]) -> None:
        """Add the nodes whose shape matches the text, with `values` and the texts of its parameters."""
        for shape, node in self._whole:
            if shape.fullmatch(text) is not None:
                reached.append((node, [*values, text]))
        for (before, after), group in self._groups.items():
            for shape, node in group.get((text[:before], text[len(text) - after :]), ()):
                texts = shape.match(text)
                if texts is not None:
                    reached.append((node, values + texts))

    def covering(self, segment: Segment) -> list[_Node]:
        """The nodes below shapes that surely match whatever this segment of a pattern does."""
        if isinstance(segment, Shape):
            return [self._nodes[segment.key]] if segment.key in self._nodes else []
        found = [node for shape, node in self._whole if shape.takes(segment)]
        for (before, after), group in self._groups.items():
            shapes = group.get((segment[:before], segment[len(segment) - after :]), ())
            found += [node for shape, node in shapes if shape.takes(segment)]
        return found


def _search(node: _Node, values: list[str], parts: list[str]) -> list[Match]:
    # The general walk, from a node where there may be more than one way to go on.
    found: list[Match] = []
    frontier: list[_Reached] = [(node, values)]
    for place, part in enumerate(parts):
        following: list[_Reached] = []
        for node, values in frontier:
            if node.tails is not None:
                _search_tails(node.tails, values, parts[place:], found)
            node.step(part, values, following)
        frontier = following
        if not frontier:
            break
    for node, values in frontier:
        for number in node.ends:
            found.append((number, values))
    found.sort(key=itemgetter(0))
    return found


def _search_tails(tails: _Node, left: list[str], parts: list[str], found: list[Match]) -> None:
    # From the end of the path towards its start; at least one segment is left to the parameter that spans.
    frontier: list[_Reached] = [(tails, [])]
    for stop in range(len(parts), 0, -1):
        following: list[_Reached] = []
        for node, right in frontier:
            if node.everything is not None or node.spans is not None:
                for leaf, texts in node.spanning("/".join(parts[:stop])):
                    for number in leaf.ends:
                        found.append((number, left + texts + right))
            reached: list[_Reached] = []
            node.step(parts[stop - 1], [], reached)
            for child, texts in reached:
                following.append((child, texts + right))
        frontier = following
        if not frontier:
            break


def _covering_tails(tails: _Node, segments: Sequence[Segment]) -> list[int]:
    # The same walk with the segments of a pattern in place of those of a path.
    found: list[int] = []
    frontier = [tails]
    for stop in range(len(segments), 0, -1):
        for node in frontier:
            if node.everything is not None:
                found.append(node.everything.ends[0])
            if node.spans is not None and stop == 1:
                found += [leaf.ends[0] for leaf in node.spans.covering(segments[0])]
        frontier = [child for node in frontier for child in node.covering(segments[stop - 1])]
    return found
