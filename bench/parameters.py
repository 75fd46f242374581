"""A constructor's signature is the schema of its parameters: checked, completed and explained from it alone."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from bench.errors import hint, shown

M = TypeVar("M", bound=BaseModel)


@functools.cache
def schema(make: Callable[..., Any]) -> type[BaseModel]:
    """A pydantic model of the keyword-only parameters of ``make``.

    Of a class whose constructor takes ``**rest`` too, those of the class above it, to which it hands them.
    Raises TypeError where a parameter has no annotation or no default: both are needed to check a suite.
    """
    fields: dict[str, Any] = {}
    for name, parameter in _parameters(make).items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.annotation is parameter.empty or parameter.default is parameter.empty:
            raise TypeError(f"{make.__qualname__}: parameter {name!r} needs an annotation and a default")
        fields[name] = (parameter.annotation, parameter.default)
    config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), validate_default=True, allow_inf_nan=False
    )
    return create_model(make.__qualname__, __config__=config, **fields)


def _parameters(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Those that its ``**rest`` goes to, and its own, which come last and go before others of their name."""
    if not inspect.isclass(make):
        return dict(inspect.signature(make, eval_str=True).parameters)
    found: dict[str, inspect.Parameter] = {}
    for above in (base for base in make.__mro__ if "__init__" in vars(base)):
        own = inspect.signature(vars(above)["__init__"], eval_str=True).parameters
        found = {**own, **found}
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in own.values()):
            break
    return found


def resolve(
    make: Callable[..., Any], given: Mapping[str, Any], where: str, homes: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """All parameters of ``make``, defaults included, and the list of problems with those given.

    where: the place in the suite, such as ``generators.vae``, that each problem starts with.
    homes: where keys belong that are no parameters here, such as ``at the top of the suite``.
    """
    found, problems = check(schema(make), given, where, homes)
    return found.model_dump(mode="json") if found else {}, problems


def check(
    model: type[M], given: Mapping[str, Any], where: str, homes: Mapping[str, str] | None = None
) -> tuple[M | None, list[str]]:
    """The values as an instance of ``model``, or None and the list of problems; see ``resolve``."""
    try:
        # Through JSON, because pydantic's strict mode takes a JSON array, but no list, for a tuple. TOML has dates,
        # which JSON has not: as strings they are refused with a message.
        return model.model_validate_json(json.dumps(given, default=str)), []
    except ValidationError as error:
        return None, [_explain(problem, model, where, homes or {}) for problem in error.errors(include_url=False)]


def _explain(problem: Any, model: type[BaseModel], where: str, homes: Mapping[str, str]) -> str:
    what = problem["msg"].removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    if not problem["loc"]:  # of all parameters together
        return f"{where}: {what}"
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        if name in homes:
            return f"{where}: {name} belongs {homes[name]}, not in [{where}]"
        return f"{where}: unknown parameter {shown(name)}{hint(name, model.model_fields)}"
    given = f"{where}.{'.'.join(map(str, problem['loc']))} = {shown(problem['input'])}"
    field = model.model_fields.get(name)
    if not field:
        return f"{given}: {what}"
    return f"{given}: {what} ({'left out by default' if field.default is None else f'default {shown(field.default)}'})"
