"""
What a person wrote, before it is known what it means: one tree of text out of a YAML file and the environment.

Every entry remembers its place, so that a fault can name the line or the variable. Nothing is interpreted here:
a scalar stays the text that was typed, because only the field it is meant for knows whether `3.2` is a version
or a number.
Pure.
"""

from typing import Final, Literal

import msgspec
import yaml

_MERGE_TAG: Final = "tag:yaml.org,2002:merge"
_NULL_TAG: Final = "tag:yaml.org,2002:null"
_PLAIN_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "value")
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value comes from. `via` is the file that a secret was read from."""

    kind: Literal["default", "file", "environment", "option"]
    name: str = ""  # of the file, the variable or the option
    line: int | None = None  # counted from 1
    via: str | None = None

    def __str__(self) -> str:
        here = {
            "default": "default",
            "file": self.name if self.line is None else f"{self.name}:{self.line}",
            "environment": f"env {self.name}",
            "option": f"option {self.name}",
        }[self.kind]
        return here if self.via is None else f"{here} (from {self.via})"


DEFAULT: Final = Place(kind="default")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or in a warning merely odd. `message` never holds a secret."""

    place: Place
    path: str  # the key's path, such as server.port; empty for the document as a whole
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.path, self.message) if part)


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A scalar as typed; None is YAML's null, also where nothing follows the colon."""

    text: str | None
    place: Place


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """A list."""

    entries: "tuple[Entry, ...]"
    place: Place


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping. Its dict is filled while the tree is put together and not changed afterwards."""

    entries: "dict[str, Entry]"
    place: Place


Entry = Leaf | Items | Branch


def read_document(text: str | None, file_name: str) -> tuple[Branch, list[Fault]]:
    """Turn YAML (or JSON, its subset) into a tree; what cannot be read is a fault and left out."""
    root = Branch(entries={}, place=Place(kind="file", name=file_name))
    if text is None:
        return root, []
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        return root, [_syntax_fault(error, file_name)]
    if node is None:
        return root, []
    document = _Document(file_name)
    if not isinstance(node, yaml.MappingNode):
        document.report(
            node, "", "the file must hold a mapping of settings, such as `server:` with `port: 8080` below it"
        )
        return root, document.faults
    return document.branch(node, ""), document.faults


def lay(root: Branch, path: str, leaf: Leaf) -> None:
    """
    Put a value from outside the file at a path, in place of what the file says there.

    Where the file has something other than a mapping on the way, that stays, and its own fault will be reported.
    """
    *parents, last = path.split(".")
    branch: Entry = root
    for parent in parents:
        if not isinstance(branch, Branch):
            return
        below = branch.entries.get(parent)
        if below is None or (isinstance(below, Leaf) and below.text is None):
            below = branch.entries[parent] = Branch(entries={}, place=leaf.place)
        branch = below
    if isinstance(branch, Branch):
        branch.entries[last] = leaf


def find(root: Branch, path: str) -> Entry | None:
    """Return what stands at a path, if anything does."""
    entry: Entry | None = root
    for part in path.split("."):
        if not isinstance(entry, Branch):
            return None
        entry = entry.entries.get(part)
    return entry


def drop(root: Branch, path: str) -> None:
    """Forget what stands at a path, because something that outranks it is given."""
    parent, _, last = path.rpartition(".")
    branch = find(root, parent) if parent else root
    if isinstance(branch, Branch):
        branch.entries.pop(last, None)


class _Document:
    """Walks the nodes of one file. Nodes may be shared through aliases; a loop of them is cut and reported."""

    def __init__(self, file_name: str) -> None:
        self._file_name = file_name
        self._open: set[int] = set()
        self.faults: list[Fault] = []

    def report(self, node: yaml.Node, path: str, message: str) -> None:
        self.faults.append(Fault(place=self._place(node), path=path, message=message))

    def branch(self, node: yaml.MappingNode, path: str) -> Branch:
        branch = Branch(entries={}, place=self._place(node))
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            below = f"{path}.{key}" if path else key
            if key in lines:
                self.report(key_node, below, f"is given twice; the first is on line {lines[key]}")
                continue
            lines[key] = key_node.start_mark.line + 1
            entry = self._entry(value_node, below, key_node)
            if entry is not None:
                branch.entries[key] = entry
        return branch

    def _key(self, node: yaml.Node, path: str) -> str | None:
        if node.tag == _MERGE_TAG:
            self.report(node, path, "merge keys (`<<`) are not supported; write the settings out")
            return None
        if not isinstance(node, yaml.ScalarNode):
            self.report(node, path, "a key must be a plain word")
            return None
        return str(node.value)

    def _entry(self, node: yaml.Node, path: str, key_node: yaml.Node) -> Entry | None:
        if isinstance(node, yaml.ScalarNode):
            return self._leaf(node, path, key_node)
        if id(node) in self._open:
            self.report(node, path, "an alias refers to what it is part of")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.branch(node, path)
            entries = [self._entry(item, f"{path}[{index}]", item) for index, item in enumerate(node.value)]
            return Items(entries=tuple(entry for entry in entries if entry is not None), place=self._place(key_node))
        finally:
            self._open.discard(id(node))

    def _leaf(self, node: yaml.ScalarNode, path: str, key_node: yaml.Node) -> Leaf | None:
        if node.tag not in _PLAIN_TAGS:
            self.report(node, path, f"the tag {node.tag} is not supported")
            return None
        text = None if node.tag == _NULL_TAG else str(node.value)
        # A null has no text of its own to point at: its mark may be on the next line, so the key's counts.
        return Leaf(text=text, place=self._place(key_node if text is None else node))

    def _place(self, node: yaml.Node) -> Place:
        return Place(kind="file", name=self._file_name, line=node.start_mark.line + 1)


def _syntax_fault(error: yaml.YAMLError, file_name: str) -> Fault:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        began = None if error.context_mark is None else error.context_mark.line + 1
        context = error.context if began in (None, line) else f"{error.context} that began on line {began}"
        what = ", ".join(part for part in (context, error.problem) if part)
    else:
        # A character that YAML does not allow at all; the reader's own message quotes it and nothing else.
        line, what = None, str(error).splitlines()[0]
    return Fault(place=Place(kind="file", name=file_name, line=line), path="", message=f"not valid YAML: {what}")
