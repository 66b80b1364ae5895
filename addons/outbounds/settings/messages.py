"""pydantic's errors in this house's words, each at its line and with its fix.

pydantic names a place by a `loc`: keys and indexes, and for a tagged union also the tag, which is
not in the file. Its messages speak to programmers; the table speaks to operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .fields import Context, Strict, nearest
from .problem import ABSENT, Key
from .source import Document, Unreadable

TEXTS = {
    "missing": "missing; add it",
    "string_type": "not text; write words, in quotes where they look like a number",
    "int_type": "not a whole number; write digits",
    "bool_type": "neither true nor false; write one of them",
    "tuple_type": "not a list; write [a, b], or each entry on a line of its own after a dash",
    "model_type": "not a mapping; write its keys below it, each as `key: value`",
    "model_attributes_type": "not a mapping; write its keys below it, each as `key: value`",
    "literal_error": "unknown; use {expected}",
    "union_tag_invalid": "unknown; use {expected_tags}",
    "union_tag_not_found": "missing; add it",
    "greater_than_equal": "too small; use at least {ge}",
    "less_than_equal": "too large; use at most {le}",
}
WITHOUT_VALUE = {"missing", "extra_forbidden", "union_tag_not_found"}


def validate[M: Strict](document: Document, model: type[M], context: Context) -> M | None:
    """The file as a model; or None, and its faults are reported in the document."""
    if isinstance(document.data, Unreadable):
        return None
    try:
        return model.model_validate(document.data, context=context)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            if not _is_reported(fault["input"]):
                _report(document, model, fault)
        return None


def _is_reported(value: Any) -> bool:
    """Whether reading already said what is wrong with the value, or with an entry of the list."""
    return isinstance(value, Unreadable) or (
        isinstance(value, tuple) and any(isinstance(entry, Unreadable) for entry in value))


def _report(document: Document, model: type[BaseModel], fault: Any) -> None:
    kind, loc, ctx = fault["type"], fault["loc"], dict(fault.get("ctx", {}))
    key, value = _place(document.data, loc, kind == "missing"), fault["input"]
    if kind.startswith("union_tag"):
        tag = ctx["discriminator"].strip("'")
        key, value = (*key, tag), value.get(tag) if isinstance(value, dict) else value
    if kind == "value_error":
        text = str(ctx["error"])
    elif kind == "extra_forbidden":
        text = f"unknown key; {nearest(str(loc[-1]), _fields_at(model, loc[:-1]))}"
    else:
        for name in ("expected", "expected_tags"):
            if name in ctx:
                ctx[name] = ctx[name].replace("'", "").replace(", ", " or ")
        text = TEXTS[kind].format(**ctx) if kind in TEXTS else f"{fault['msg']}; correct it"
    document.report(key, ABSENT if kind in WITHOUT_VALUE else value, text)


def _place(data: Any, loc: Key, is_missing: bool) -> Key:
    """`loc` without the union tags, which are the parts that the data does not have; except that
    the last part of what is missing is its name."""
    key: list[str | int] = []
    for position, part in enumerate(loc):
        named = is_missing and position == len(loc) - 1
        if isinstance(data, dict) and part not in data and not named:
            continue
        key.append(part)
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, tuple) and isinstance(part, int) and part < len(data):
            data = data[part]
    return tuple(key)


def _fields_at(model: type[BaseModel], loc: Key) -> list[str]:
    """The keys that the mapping at `loc` may have."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            here = get_args(here)[0]
        elif isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[part].annotation
        else:
            here = next(m for m in _models(here) if part in _tags(m))
    return list(here.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from _models(argument)


def _tags(model: type[BaseModel]) -> Iterator[Any]:
    for info in model.model_fields.values():
        yield from get_args(info.annotation)
