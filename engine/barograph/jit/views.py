"""Arrays and tuples lent to compiled code: by address, and without counting who holds them.

Plain Python has neither price, and gets back what it gave.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_builtin, lower_getattr_generic, type_callable

__all__ = ["ByAddress", "by_address", "frozen", "unowned"]

T = TypeVar("T")

types: Any = numba.types


def unowned(array: Any) -> Any:
    """Use an array without owning it: the caller keeps it alive, so nothing is counted.

    Reference counts, not allocations, were the price of passing tuples of arrays: 331 ns a bar with them, 60 without
    (regime filter, one asset). Plain Python has no such price and gets the array back.
    """
    return array


def frozen(array: Any) -> Any:
    """Lend an array for reading only: writing to it is a compile error, and an exception in plain Python.

    Lend what the state keeps, such as a filter's probabilities: an array made in the step dies with it, and compiled
    code does not count who still looks.
    """
    view = array.view()
    view.flags.writeable = False
    return view


def by_address(item: T) -> T:
    """Lend a NamedTuple by its address: a kernel that is called reads the fields it needs, uncounted.

    By value an account is 170 words, and each call took 27 ns to pass them; by address it takes 3. What is lent must
    outlive the call, and its own fields stay what they are: compiled code would not see them change.
    """
    return item


class ByAddress(types.Type):  # type: ignore[misc]
    """The compiler's type of a NamedTuple that is lent."""

    def __init__(self, of: Any) -> None:
        self.of = of
        super().__init__(name=f"ByAddress({of})")

    @property
    def key(self) -> Any:
        """What makes two of them one type."""
        return self.of


@register_default(ByAddress)
class _LentModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.PointerType(manager.lookup(kind.of).get_value_type()))


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = ByAddress

    def generic_resolve(self, kind: Any, name: str) -> Any:
        """Tell a field's type."""
        return kind.of.types[kind.of.fields.index(name)] if name in kind.of.fields else None


def _read_field(context: Any, builder: Any, kind: Any, where: Any, name: str) -> Any:
    j = kind.of.fields.index(name)
    return _read(context, builder, kind.of.types[j], cgutils.gep_inbounds(builder, where, 0, j))


def _read(context: Any, builder: Any, kind: Any, where: Any) -> Any:
    """Read leaf by leaf, as what is not used then costs nothing; arrays come without an owner."""
    if isinstance(kind, types.BaseTuple):
        parts = [_read(context, builder, t, cgutils.gep_inbounds(builder, where, 0, j)) for j, t in enumerate(kind)]
        return context.make_tuple(builder, kind, parts)
    if isinstance(kind, types.Array):
        return _disown(context, builder, context.make_array(kind)(context, builder, ref=where), kind)
    return builder.load(where)


def _disown(context: Any, builder: Any, source: Any, kind: Any) -> Any:
    target = context.make_array(kind)(context, builder)
    for name in ("nitems", "itemsize", "data", "shape", "strides"):
        setattr(target, name, getattr(source, name))
    target.meminfo = cgutils.get_null_value(target.meminfo.type)
    target.parent = cgutils.get_null_value(target.parent.type)
    return target._getvalue()


def _strip(function: Callable[..., Any], readonly: bool) -> None:
    """Teach the compiler `unowned` or `frozen`: the same array without an owner to count, closed to writing or not.

    Typed and lowered directly: an `@overload` would compile a function for every type of array.
    """

    def typing(_context: Any) -> Any:
        def typed(array: Any) -> Any:
            if not isinstance(array, types.Array):
                return None
            return types.Array(array.dtype, array.ndim, array.layout, readonly=readonly or not array.mutable)

        return typed

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, value=args[0])
        return _disown(context, builder, source, signature.return_type)

    type_callable(function)(typing)
    lower_builtin(function, types.Array)(lower)


_strip(unowned, readonly=False)
_strip(frozen, readonly=True)


def _type_by_address(_context: Any) -> Any:
    return lambda item: ByAddress(item) if isinstance(item, types.BaseNamedTuple) else None


def _lower_by_address(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
    slot = cgutils.alloca_once(builder, args[0].type)
    builder.store(args[0], slot)
    return slot


type_callable(by_address)(_type_by_address)
lower_builtin(by_address, types.BaseNamedTuple)(_lower_by_address)
lower_getattr_generic(ByAddress)(_read_field)
