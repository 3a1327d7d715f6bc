"""Where each module stands when the graph is drawn: columns from what is loaded first to what Windows has.

The same graph gives the same drawing. Lengths are in CSS pixels; a name is taken to be as wide as its letters are on
average, and the page cuts what is longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packager.deps.model import Edge, Graph, Module
from packager.deps.text import clean

#: What a node stands for. ``tree``: a file that was given or found; ``api-set``: a name that Windows maps to a DLL.
Kind = Literal["tree", "windows", "api-set", "assembly", "missing"]
#: How a line is drawn; the first that holds of any need between the two.
Style = Literal["bad", "import", "delay-import", "forwarder", "assembly", "runtime"]

API_SET = "api-set:"
BOX_HEIGHT = 22
_ROW = 27
_HEADING = 20
_TITLE = 34
_LETTER, _BOLD = 7.2, 1.12
_PADDING = 38
_NARROWEST, _WIDEST = 84, 270
_GAP_BESIDE, _GAP_BETWEEN, _MARGIN = 16, 100, 24
#: Columns are made longer until the whole is no wider than so many times its height.
_ASPECT = 1.45
_FEWEST_ROWS = 16
_STYLES: Sequence[Style] = ("bad", "import", "delay-import", "forwarder", "assembly", "runtime")


@dataclass(frozen=True, slots=True)
class Node:
    """One box, by its upper left corner. ``plantable``: for some importer another file could take its place."""

    id: str
    label: str
    kind: Kind
    plantable: bool
    x: int
    y: int
    width: int


@dataclass(frozen=True, slots=True)
class Label:
    """A text in the drawing: the title of some columns, or the folder that the boxes below are in."""

    text: str
    x: int
    y: int
    width: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line, between nodes by their place in the drawing. ``through`` an API set: drawn where those are hidden."""

    source: int
    target: int
    style: Style
    through: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that is drawn; the nodes stand in reading order, column by column."""

    width: int
    height: int
    titles: tuple[Label, ...]
    folders: tuple[Label, ...]
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Item:
    """A node that has no place yet; ``folder`` is None where it does not matter."""

    id: str
    label: str
    kind: Kind
    folder: str | None = None
    bold: bool = False

    @property
    def width(self) -> float:
        """How wide the label is."""
        return len(self.label) * _LETTER * (_BOLD if self.bold else 1)


@dataclass(frozen=True, slots=True)
class _Group:
    """Columns that belong together. ``follows``: the order is that of what needs them, to have fewer lines cross."""

    title: str
    items: tuple[_Item, ...]
    follows: bool = False


#: A column: nodes, and the names of folders before those in them.
_Column = list[_Item | str]


def draw(graph: Graph) -> Drawing:
    """Give every module, and every API set that is asked for, its place."""
    groups = [group for group in _groups(graph) if group.items]
    needs = {item.id: set[str]() for group in groups for item in group.items}
    for source, target, _style, through in _pairs(graph):
        if not through:
            needs[source].add(target)
    rows = _rows(groups)
    tallest = max((_height(column) for group in groups for column in _even(group.items, rows)), default=0)
    plantable = {_node_of(edge) for edge in graph.edges if edge.plantable and not edge.target.startswith("missing:")}
    nodes: list[Node] = []
    titles: list[Label] = []
    folders: list[Label] = []
    middles: dict[str, float] = {}
    left = _MARGIN
    for group in groups:
        items = _sorted_by(group.items, needs, middles) if group.follows else group.items
        columns = _even(items, rows)
        top = _MARGIN + _TITLE + (tallest - max(map(_height, columns))) // 2
        start = left
        for column in columns:
            width = _width(column)
            y = top
            for row in column:
                if isinstance(row, str):
                    folders.append(Label(row, left, y, width))
                    y += _HEADING
                    continue
                nodes.append(Node(row.id, row.label, row.kind, row.id in plantable, left, y, width))
                middles[row.id] = y
                y += _ROW
            left += width + _GAP_BESIDE
        titles.append(Label(group.title, start, top - _TITLE, left - _GAP_BESIDE - start))
        left += _GAP_BETWEEN - _GAP_BESIDE
    places = {node.id: place for place, node in enumerate(nodes)}
    return Drawing(
        width=left - _GAP_BETWEEN + _MARGIN if groups else 2 * _MARGIN,
        height=tallest + _TITLE + 2 * _MARGIN,
        titles=tuple(titles),
        folders=tuple(folders),
        nodes=tuple(nodes),
        lines=tuple(
            Line(places[source], places[target], style, through) for source, target, style, through in _pairs(graph)
        ),
    )


# What there is to draw. ----------------------------------------------------------


def _groups(graph: Graph) -> Iterator[_Group]:
    assemblies = {edge.target for edge in graph.edges if edge.via == "assembly"}
    in_tree = [module for module in graph.modules if module.origin == "tree"]
    programs = [_item(module, assemblies) for module in in_tree if module.root and not module.is_dll]
    by_path = [_item(module, assemblies, folder=True) for module in in_tree if module.root and module.is_dll]
    yield _Group("Programs", tuple(programs))
    yield _Group("Loaded by their path", tuple(sorted(by_path, key=lambda item: (item.folder or "", item.id))))
    libraries = [module for module in in_tree if not module.root]
    depths = _depths([module.id for module in libraries], graph.needs)
    for depth in sorted(set(depths.values())):
        some = tuple(_item(module, assemblies) for module in libraries if depths[module.id] == depth)
        yield _Group("Their DLLs" if depth == 0 else "DLLs of those", some, follows=True)
    missing = [_item(module, assemblies) for module in graph.modules if module.origin == "missing"]
    yield _Group("Missing", tuple(missing))
    api_sets = sorted({_node_of(edge): edge.name for edge in graph.edges if edge.rule == "api-set"}.items())
    yield _Group("API sets", tuple(_Item(key, clean(name), "api-set") for key, name in api_sets))
    windows = [_item(module, assemblies) for module in graph.modules if module.origin == "windows"]
    yield _Group("Windows", tuple(windows))


def _item(module: Module, assemblies: set[str], *, folder: bool = False) -> _Item:
    kind: Kind = "assembly" if module.id in assemblies and module.origin != "missing" else module.origin
    where = module.id.rpartition("/")[0] if module.origin == "tree" else ""
    return _Item(module.id, clean(module.name), kind, clean(where) if folder else None, bold=not module.is_dll)


def _node_of(edge: Edge) -> str:
    """The node that stands for what an edge asks for."""
    return f"{API_SET}{edge.name.lower()}" if edge.rule == "api-set" else edge.target


def _pairs(graph: Graph) -> Iterator[tuple[str, str, Style, bool]]:
    """Each two nodes that a line connects, once, and how it looks."""
    found: dict[tuple[str, str, bool], set[Style]] = {}
    for edge in graph.edges:
        bad = bool(edge.missing) or edge.target.startswith("missing:")
        style: Style = "bad" if bad else edge.via
        found.setdefault((edge.importer, _node_of(edge), False), set()).add(style)
        if edge.rule == "api-set":
            found.setdefault((_node_of(edge), edge.target, False), set()).add("import")
            found.setdefault((edge.importer, edge.target, True), set()).add(style)
    for load in graph.runtime:
        if load.target is not None and load.file in graph.by_id and load.file != load.target:
            found.setdefault((load.file, load.target, False), set()).add("runtime")
    for (source, target, through), styles in found.items():
        yield source, target, min(styles, key=_STYLES.index), through


def _depths(ids: Sequence[str], needs: Mapping[str, tuple[Edge, ...]]) -> dict[str, int]:
    """How many modules of ``ids`` lead to each at most; what leads back in a circle is left out of account."""
    among = {module: [edge.target for edge in needs.get(module, ())] for module in ids}
    finished: list[str] = []
    state: dict[str, bool] = {}
    for first in ids:
        waiting = [first]
        while waiting:
            module = waiting[-1]
            if module not in state:
                state[module] = False
                waiting += [target for target in reversed(among[module]) if target in among and target not in state]
                continue
            waiting.pop()
            if not state[module]:
                state[module] = True
                finished.append(module)
    order = {module: place for place, module in enumerate(finished)}
    depths = dict.fromkeys(ids, 0)
    for module in reversed(finished):
        for target in among[module]:
            if target in among and order[target] < order[module]:
                depths[target] = max(depths[target], depths[module] + 1)
    return depths


# Where it stands. ----------------------------------------------------------------


def _rows(groups: Sequence[_Group]) -> int:
    """How many rows a column has at most, so that the whole is neither a thread nor a ribbon."""
    longest = max((len(group.items) for group in groups), default=0)
    for rows in range(_FEWEST_ROWS, 2 * longest):
        columns = [column for group in groups for column in _columns(group.items, rows)]
        beside = _GAP_BESIDE * (len(columns) - len(groups)) + _GAP_BETWEEN * (len(groups) - 1)
        if sum(map(_width, columns)) + beside <= _ASPECT * max(map(_height, columns)):
            return rows
    return max(_FEWEST_ROWS, 2 * longest)


def _even(items: Sequence[_Item], rows: int) -> list[_Column]:
    """As few columns as ``rows`` rows at most allow, and those about equally long."""
    columns = _columns(items, rows)
    for fewer in range(-(-len(items) // len(columns)), rows):
        if len(even := _columns(items, fewer)) <= len(columns):
            return even
    return columns


def _columns(items: Sequence[_Item], rows: int) -> list[_Column]:
    """The items in columns of ``rows`` rows at most; a folder that goes on in the next one is named there again."""
    columns: list[_Column] = []
    folder: str | None = None
    for item in items:
        heading = item.folder is not None and item.folder != folder
        if not columns or len(columns[-1]) + 1 + heading > rows:
            columns.append([])
            heading = item.folder is not None
        if heading:
            columns[-1].append(f"{item.folder}/" if item.folder else "./")
        columns[-1].append(item)
        folder = item.folder
    return columns


def _height(column: _Column) -> int:
    return sum(_HEADING if isinstance(row, str) else _ROW for row in column)


def _width(column: _Column) -> int:
    longest = max(len(row) * _LETTER if isinstance(row, str) else row.width for row in column)
    return max(_NARROWEST, min(_WIDEST, round(longest) + _PADDING))


def _sorted_by(
    items: Sequence[_Item], needs: Mapping[str, set[str]], middles: Mapping[str, float]
) -> tuple[_Item, ...]:
    """Each at the average height of what needs it in the columns before."""
    above: dict[str, list[float]] = {item.id: [] for item in items}
    for source, y in middles.items():
        for target in needs[source]:
            if target in above:
                above[target].append(y)
    return tuple(sorted(items, key=lambda item: (sum(above[item.id]) / max(1, len(above[item.id])), item.id)))
