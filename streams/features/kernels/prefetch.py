"""Compiled: ask the processor to load memory that will soon be read.

Entities come in no order, so that every event meets cold memory; its address is known many
events before.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import pointer_add
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_typing_context: Any, array: Any, byte: Any) -> Any:
    """Load the cache line that is `byte` bytes behind an array's first element.

    It never faults, whatever the address, and changes no result.
    """
    if not isinstance(array, types.Array) or not isinstance(byte, types.Integer):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer_type = ir.IntType(8).as_pointer()
        address = pointer_add(builder, data, arguments[1], pointer_type)
        word = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [pointer_type],
            ir.FunctionType(ir.VoidType(), [pointer_type, word, word, word]),
        )
        # For reading, to be kept in all caches, data rather than code.
        builder.call(function, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
