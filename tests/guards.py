"""Guards in the source, found by name: a comment that ends in `guard: message-length`, on their line or just above it.

A mark in Python stands for the test of an `if` or `while`, the exceptions of an `except`, or a simple statement; in a
statement of several lines, for the largest expression that lies whole on the marked line. In JavaScript it stands for
the line's code.
"""

from __future__ import annotations

import ast
import builtins
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

MARK = re.compile(r"\bguard: ([a-z]+(?:-[a-z]+)*)$")
FOLDERS = ("app", "litellama")
VALUED = (ast.Return, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
JS_WORDS = {"for", "const", "of", "typeof"}


@dataclass(frozen=True)
class Guard:
    """A guard's name, and what lets the fault through.

    An expression replaces what is tested, returned or assigned, and `_` in it is what the source has there. Other code
    replaces the whole statement.
    """

    name: str
    instead: str


@dataclass(frozen=True)
class Mark:
    """Where a guard stands: the line of its code, counted from 1."""

    path: Path
    line: int


def find_marks(root: Path) -> dict[str, list[Mark]]:
    """Every marked guard in the sources below `root`, by name."""
    found: dict[str, list[Mark]] = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".py", ".js") or "guard: " not in (source := path.read_text(encoding="utf-8")):
                continue
            for line, column, comment in _comments(source) if path.suffix == ".py" else _js_comments(source):
                if named := MARK.search(comment):
                    alone = not source.splitlines()[line - 1][:column].strip()
                    found.setdefault(named[1], []).append(Mark(path, line + alone))
    return found


def _comments(source: str) -> Iterator[tuple[int, int, str]]:
    """Line, column and text of each comment."""
    for token in tokenize.generate_tokens(partial(next, iter(source.splitlines(keepends=True)), "")):
        if token.type == tokenize.COMMENT:
            yield *token.start, token.string


def _js_comments(source: str) -> Iterator[tuple[int, int, str]]:
    for number, line in enumerate(source.splitlines(), 1):
        if (column := line.rfind("//")) >= 0:
            yield number, column, line[column:]


def without(mark: Mark, instead: str) -> str:
    """The source of a guard's file with something else in its place. Raises `ValueError` where that can't stand."""
    source = mark.path.read_text(encoding="utf-8")
    return (
        _python_without(source, mark.line, instead)
        if mark.path.suffix == ".py"
        else _js_without(source, mark.line, instead)
    )


def _js_without(source: str, line: int, instead: str) -> str:
    lines = source.splitlines(keepends=True)
    code = lines[line - 1].partition("//")[0].strip()
    lines[line - 1] = lines[line - 1].replace(code, instead, 1)
    return "".join(lines)


def _python_without(source: str, line: int, instead: str) -> str:
    """
    if len(text) > 9:  # guard: length        with "False"        -> if (False):  # guard: length
    return text.strip()  # guard: stripped    with "_.lower()"    -> return ((text.strip()).lower())  # guard: stripped
    """
    node = _marked(ast.parse(source), line)
    try:
        ast.parse(instead, mode="eval")
        is_expression = True
    except SyntaxError:
        is_expression = False
    if is_expression and isinstance(node, ast.stmt):
        node = node.value if isinstance(node, VALUED) else None
    elif not is_expression and not isinstance(node, ast.stmt):
        node = None
    if node is None:
        raise ValueError(f"{instead!r} can't replace what stands in line {line}")
    lines = [text.encode() for text in source.splitlines(keepends=True)]  # ast counts columns in bytes
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    whole = b"".join(lines)
    if is_expression:
        original = f"({whole[start:end].decode()})"
        instead = "(" + re.sub(r"\b_\b", lambda _: original, instead) + ")"
    return (whole[:start] + instead.encode() + whole[end:]).decode()


def _marked(tree: ast.Module, line: int) -> ast.expr | ast.stmt | None:
    """What a mark on this line stands for."""
    whole: ast.expr | ast.stmt | None = None
    for node in ast.walk(tree):  # outer nodes come first
        if isinstance(node, ast.If | ast.While) and node.lineno <= line < node.body[0].lineno:
            whole = node.test
        elif isinstance(node, ast.ExceptHandler) and node.lineno == line:
            whole = node.type
        elif isinstance(node, ast.stmt) and not hasattr(node, "body") and node.lineno <= line <= node.end_lineno:
            whole = node
    if whole is None or whole.lineno == whole.end_lineno:
        return whole
    parts = [node for node in ast.walk(whole) if isinstance(node, ast.expr) and node.lineno == node.end_lineno == line]
    return parts[0] if parts else whole


def unknown_names(mark: Mark, instead: str) -> set[str]:
    """The names in a replacement that the guard's file does not have: they were renamed, and it would only crash."""
    known = set(re.findall(r"\w+", mark.path.read_text(encoding="utf-8")))
    if mark.path.suffix == ".js":
        code = re.sub(r'"[^"]*"|\.\w+', "", instead)
        return set(re.findall(r"[A-Za-z_]\w*", code)) - set(re.findall(r"const (\w+) of", code)) - JS_WORDS - known
    tree = ast.parse(instead)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"_", *dir(builtins)}
    attributes = {
        node.attr for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not any(getattr(one, "id", "") == "_" for one in ast.walk(node))
    }  # fmt: skip
    return (names | attributes) - known
