"""The options of `litellama train` that fill a `Recipe`: one for each field that has an `option` there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import typer

from litellama.training.recipe import Recipe


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put the recipe's options before those of `command`, which gets their values by the fields' names as `**values`.

    The function itself is not changed; only the signature that Typer reads is.
    """
    types = get_type_hints(Recipe)
    options = [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY,
            default=one.metadata.get("command_line", one.default),
            annotation=Annotated[
                _type(one.name, types), typer.Option(*one.metadata["flags"], help=one.metadata["help"])
            ],
        )
        for one in fields(Recipe) if "help" in one.metadata
    ]  # fmt: skip
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]
    return command


def _type(name: str, types: dict[str, Any]) -> Any:
    """A word out of several is any text for Typer; the recipe itself says what was expected. `compile` may be open."""
    if get_origin(types[name]) is Literal:
        return str
    return bool | None if name == "compile" else types[name]
