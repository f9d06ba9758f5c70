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
_FLAGS: Final = ir.VectorType(_BIT, BLOCK_BYTES)


@intrinsic
def match_byte(_typing, data, place, byte):
    """Which bytes of the block at `data[place]` are this one."""

    def generate(context, builder, signature, values):
        block = _load(context, builder, signature, values)
        return builder.bitcast(builder.icmp_unsigned("==", block, _spread(builder, values[2])), _MASK)

    return types.uint64(data, place, byte), generate


@intrinsic
def match_range(_typing, data, place, first, last):
    """Which bytes of the block at `data[place]` lie between two, both included."""

    def generate(context, builder, signature, values):
        block = _load(context, builder, signature, values)
        from_first = builder.icmp_unsigned(">=", block, _spread(builder, values[2]))
        to_last = builder.icmp_unsigned("<=", block, _spread(builder, values[3]))
        return builder.bitcast(builder.and_(from_first, to_last), _MASK)

    return types.uint64(data, place, first, last), generate


@intrinsic
def copy_block(_typing, source, place, kept, raised, target, target_place):
    """Copy a block, with zeros for the bytes that are not in the mask `kept`, and bit 5 set in those of `raised`."""

    def generate(context, builder, signature, values):
        block = _load(context, builder, signature, values)
        with_bit = builder.or_(block, ir.Constant(_BLOCK, [0x20] * BLOCK_BYTES))
        block = builder.select(builder.bitcast(values[3], _FLAGS), with_bit, block)
        block = builder.select(builder.bitcast(values[2], _FLAGS), block, ir.Constant(_BLOCK, None))
        pointer = _point(context, builder, target, values[4], values[5])
        builder.store(block, builder.bitcast(pointer, _BLOCK.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(source, place, kept, raised, target, target_place), generate


@intrinsic
def load_word(_typing, data, place):
    """The eight bytes at `data[place]` as a little-endian number."""

    def generate(context, builder, _signature, values):
        pointer = _point(context, builder, data, values[0], values[1])
        return builder.load(builder.bitcast(pointer, _MASK.as_pointer()), align=1)

    return types.uint64(data, place), generate


@intrinsic
def store_word(_typing, word, target, place):
    """Write a number to the eight bytes at `target[place]`, little-endian."""

    def generate(context, builder, _signature, values):
        pointer = _point(context, builder, target, values[1], values[2])
        builder.store(values[0], builder.bitcast(pointer, _MASK.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(word, target, place), generate


@intrinsic
def count_ones(_typing, mask):
    """How many bits of a mask are set."""
    return types.uint64(mask), lambda _context, builder, _signature, values: builder.ctpop(values[0])


@intrinsic
def find_first(_typing, mask):
    """The place of a mask's lowest bit that is set, 64 when none is."""
    return types.uint64(mask), lambda _context, builder, _signature, values: builder.cttz(values[0], _BIT(0))


@intrinsic
def find_last(_typing, mask):
    """The place of a mask's highest bit that is set; some is."""
    return types.uint64(mask), lambda _context, builder, _signature, values: builder.sub(
        _MASK(63), builder.ctlz(values[0], _BIT(0))
    )


@intrinsic
def swap_bytes(_typing, word):
    """A little-endian uint64 read as a big-endian one, or the other way round."""
    return types.uint64(word), lambda _context, builder, _signature, values: builder.bswap(values[0])


@intrinsic
def copy_bytes(_typing, source, start, count, target, place):
    """Copy `source[start:start + count]` to `target[place]`; the two may not overlap."""

    def generate(context, builder, _signature, values):
        pointer = _point(context, builder, source, values[0], values[1])
        target_pointer = _point(context, builder, target, values[3], values[4])
        cgutils.raw_memcpy(builder, target_pointer, pointer, values[2], 1)
        return context.get_dummy_value()

    return types.void(source, start, count, target, place), generate


def _point(context, builder, kind, array, place):
    """The address of one element of an array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


def _load(context, builder, signature, values):
    """The block that begins at the second argument in the first."""
    pointer = _point(context, builder, signature.args[0], values[0], values[1])
    return builder.load(builder.bitcast(pointer, _BLOCK.as_pointer()), align=1)


def _spread(builder, value):
    """A block that holds one byte 64 times."""
    byte = value if value.type == _BYTE else builder.trunc(value, _BYTE)
    first = builder.insert_element(ir.Constant(_BLOCK, ir.Undefined), byte, _INDEX(0))
    nowhere_else = ir.Constant(ir.VectorType(_INDEX, BLOCK_BYTES), None)
    return builder.shuffle_vector(first, ir.Constant(_BLOCK, ir.Undefined), nowhere_else)
