"""Building blocks of kernels that numba has no word for; above all, sixty-four bytes at once.

A comparison of a whole block gives a mask: a number with one bit a byte, the lowest for the first. The compiler makes
of it whatever vector instructions the processor has. A block is read as it lies in memory, so all of its 64 bytes must
lie within the array.
"""

from __future__ import annotations

from typing import Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK_BYTES: Final = 64

_BIT, _BYTE, _INDEX, _MASK = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_BLOCK: Final = ir.VectorType(_BYTE, BLOCK_BYTES)


@intrinsic
def match_byte(_typing, data, place, byte):
    """Which bytes of the block at `data[place]` are this one."""

    def generate(context, builder, signature, values):
        block = _load(context, builder, signature, values)
        return builder.bitcast(builder.icmp_unsigned("==", block, _spread(builder, values[2])), _MASK)

    return types.uint64(data, place, byte), generate


@intrinsic
def count_ones(_typing, mask):
    """How many bits of a mask are set."""
    return types.uint64(mask), lambda _context, builder, _signature, values: builder.ctpop(values[0])


@intrinsic
def find_first(_typing, mask):
    """The place of a mask's lowest bit that is set, 64 when none is."""
    return types.uint64(mask), lambda _context, builder, _signature, values: builder.cttz(values[0], _BIT(0))


@intrinsic
def swap_bytes(_typing, word):
    """A little-endian uint64 read as a big-endian one, or the other way round."""
    return types.uint64(word), lambda _context, builder, _signature, values: builder.bswap(values[0])


@intrinsic
def copy_bytes(_typing, source, start, count, target, place):
    """Copy `source[start:start + count]` to `target[place]`; the two may not overlap."""

    def generate(context, builder, _signature, values):
        pointers = [
            builder.gep(context.make_array(kind)(context, builder, array).data, [at])
            for kind, array, at in ((source, values[0], values[1]), (target, values[3], values[4]))
        ]
        cgutils.raw_memcpy(builder, pointers[1], pointers[0], values[2], 1)
        return context.get_dummy_value()

    return types.void(source, start, count, target, place), generate


def _load(context, builder, signature, values):
    """The block that begins at the second argument in the first."""
    array = context.make_array(signature.args[0])(context, builder, values[0])
    pointer = builder.gep(array.data, [values[1]])
    return builder.load(builder.bitcast(pointer, _BLOCK.as_pointer()), align=1)


def _spread(builder, value):
    """A block that holds one byte 64 times."""
    byte = value if value.type == _BYTE else builder.trunc(value, _BYTE)
    first = builder.insert_element(ir.Constant(_BLOCK, ir.Undefined), byte, _INDEX(0))
    nowhere_else = ir.Constant(ir.VectorType(_INDEX, BLOCK_BYTES), None)
    return builder.shuffle_vector(first, ir.Constant(_BLOCK, ir.Undefined), nowhere_else)
