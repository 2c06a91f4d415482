"""Vector code for the kernels: numba intrinsics that write LLVM vector instructions themselves.

LLVM cannot prove that state, coefficients and samples do not overlap, and so keeps the state of a filter in
memory: 3.4 times scipy is where plain loops end. Here it stays in registers (facts/dsp.md 2.1). Every
intrinsic works on `lanes` channels beside one another and on nothing else; which widths a CPU wants is told
by `WIDTHS`. A result does not hang on the width: every channel sees the same operations in the same order.
Owns no arithmetic of its own: `dsp.kernels_plain` has the same kernels as loops.
"""

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

ROWS_AT_ONCE = 4
_SUFFIX = {4: "f32", 8: "f64"}


def _features() -> set[str]:
    """What the CPU that is compiled for can do; nothing where numba is told to compile for any CPU."""
    if getattr(config, "CPU_NAME", None) == "generic":
        return set()
    host = llvmlite.binding.get_host_cpu_features()
    return {name for name, has in host.items() if has}


def _is_arm() -> bool:
    return str(llvmlite.binding.get_process_triple()).startswith(("aarch64", "arm64"))


def available() -> bool:
    """Whether the CPU multiplies and adds in one instruction; without, `llvm.fma` is a call of a function."""
    return _is_arm() or "fma" in _features()


def _register_bytes() -> int:
    features = _features()
    return 64 if "avx512f" in features else 32 if "avx2" in features else 16


def _widths(size: int) -> tuple[int, int, int]:
    """Lanes of `size` bytes, widest first, one last: two wide registers at once where there are 32 of them;
    one on a Pi, where more would be spilled (facts/dsp.md 2.1)."""
    lanes = _register_bytes() // size * (2 if _register_bytes() == 64 else 1)
    return lanes, min(lanes, 4), 1


WIDTHS_F64 = _widths(8)
WIDTHS_F32 = _widths(4)


class _Code:
    """One place in the function that is being written: short words for what the emitters need."""

    def __init__(self, context: Any, builder: Any, size: int, lanes: int) -> None:
        self.context, self.builder, self.size, self.lanes = context, builder, size, lanes
        self.elem = ir.DoubleType() if size == 8 else ir.FloatType()
        self.vec = ir.VectorType(self.elem, lanes)
        self.index = context.get_value_type(types.intp)

    def call(self, name: str, *args: Any) -> Any:
        kind = ir.FunctionType(self.vec, [self.vec] * len(args))
        name = f"llvm.{name}.v{self.lanes}{_SUFFIX[self.size]}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), args)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.call("fma", a, b, c)

    def load(self, base: Any, offset: Any) -> Any:
        place = self.builder.bitcast(self.builder.gep(base, [offset]), self.vec.as_pointer())
        loaded = self.builder.load(place)
        loaded.align = self.size
        return loaded

    def store(self, value: Any, base: Any, offset: Any) -> None:
        place = self.builder.bitcast(self.builder.gep(base, [offset]), self.vec.as_pointer())
        self.builder.store(value, place).align = self.size

    def splat(self, scalar: Any) -> Any:
        none = ir.Constant(self.vec, ir.Undefined)
        first = self.builder.insert_element(none, scalar, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, none, mask)

    def zero(self) -> Any:
        return ir.Constant(self.vec, [0.0] * self.lanes)

    def square(self, held: Any, value: Any) -> Any:
        """held + value^2."""
        return self.fma(value, value, held)

    def larger(self, held: Any, value: Any) -> Any:
        """The larger of `held` and the magnitude of `value`; of what is no number, `held`."""
        size = self.call("fabs", value)
        return self.builder.select(self.builder.fcmp_ordered(">", size, held), size, held)

    def constant(self, value: int) -> Any:
        return ir.Constant(self.index, value)

    def loop(
        self, count: Any, steps: Sequence[tuple[Any, Any]], carried: Sequence[Any], body: Callable[..., Any]
    ) -> list[Any]:
        """`count` turns of `body(offsets, values) -> values`; offsets begin at and grow by `steps`."""
        b = self.builder
        before = b.block
        turn, done = b.append_basic_block("turn"), b.append_basic_block("done")
        b.cbranch(b.icmp_signed(">", count, self.constant(0)), turn, done)
        b.position_at_end(turn)
        number = b.phi(self.index)
        offsets = [b.phi(self.index) for _ in steps]
        values = [b.phi(self.vec) for _ in carried]
        news = body(offsets, values)
        nexts = [b.add(o, step) for o, (_, step) in zip(offsets, steps, strict=True)]
        number_next = b.add(number, self.constant(1))
        more = b.icmp_signed("<", number_next, count)
        end = b.block
        number.add_incoming(self.constant(0), before)
        number.add_incoming(number_next, end)
        for phi, (start, _), after in zip(offsets, steps, nexts, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(after, end)
        for phi, start, after in zip(values, carried, news, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(after, end)
        b.cbranch(more, turn, done)
        b.position_at_end(done)
        last = [b.phi(self.vec) for _ in carried]
        for phi, start, after in zip(last, carried, news, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(after, end)
        return last


def _array(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, list[Any]]:
    """Data pointer and shape of an array argument."""
    made = context.make_array(kind)(context, builder, value)
    return made.data, list(cgutils.unpack_tuple(builder, made.shape))


def cascade_of(sections: int, lanes: int) -> Any:
    """Intrinsic (x, sos, state, section, channel): run `sections` biquads from `section` on over x (time,
    channel) float64 in place, for `lanes` channels from `channel` on; state (section, 2, channel)."""

    @intrinsic
    def cascade(typingctx: Any, x: Any, sos: Any, state: Any, section: Any, channel: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = _Code(context, builder, 8, lanes)
            data, (rows, channels) = _array(context, builder, signature.args[0], args[0])
            biquads, _ = _array(context, builder, signature.args[1], args[1])
            states, shape = _array(context, builder, signature.args[2], args[2])
            first, column = args[3], args[4]
            begin = builder.mul(first, code.constant(6))

            def coefficient(s: int, k: int) -> Any:
                scalar = builder.load(builder.gep(biquads, [builder.add(begin, code.constant(6 * s + k))]))
                return code.splat(builder.fneg(scalar) if k > 3 else scalar)

            coefficients = [[coefficient(s, k) for k in (0, 1, 2, 4, 5)] for s in range(sections)]
            row = builder.mul(first, code.constant(2))
            offsets = [
                builder.add(builder.mul(builder.add(row, code.constant(k)), shape[2]), column)
                for k in range(2 * sections)
            ]

            def turn(at: list[Any], z: list[Any]) -> list[Any]:
                value = code.load(data, at[0])
                news = []
                for s, (b0, b1, b2, na1, na2) in enumerate(coefficients):
                    out = code.fma(b0, value, z[2 * s])
                    news.append(code.fma(na1, out, code.fma(b1, value, z[2 * s + 1])))
                    news.append(code.fma(na2, out, builder.fmul(b2, value)))
                    value = out
                code.store(value, data, at[0])
                return news

            held = [code.load(states, offset) for offset in offsets]
            for value, offset in zip(code.loop(rows, [(column, channels)], held, turn), offsets, strict=True):
                code.store(value, states, offset)
            return context.get_dummy_value()

        return types.void(x, sos, state, section, channel), codegen

    return cascade


def rows_of(operation: str, lanes: int) -> Any:
    """Intrinsic (x, every, channel, held, total) over every so many-th row of x (time, channel) float32,
    `lanes` channels from `channel` on.

    "power": held (channel,) float32 = the sum of x^2. "peak": held = max(held, |x|). "fold": total (time,
    channel) float32 += held (channel,) * x, of all rows. The first two keep ROWS_AT_ONCE results, of every
    fourth row each, and join them at the end; the rows over go to the first.
    """

    @intrinsic
    def rows(typingctx: Any, x: Any, every: Any, channel: Any, held: Any, total: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = _Code(context, builder, 4, lanes)
            data, (count, channels) = _array(context, builder, signature.args[0], args[0])
            every, column = args[1], args[2]
            per_channel, _ = _array(context, builder, signature.args[3], args[3])
            before = code.load(per_channel, column)
            if operation == "fold":
                totals, _ = _array(context, builder, signature.args[4], args[4])

                def turn(at: list[Any], values: list[Any]) -> list[Any]:
                    code.store(
                        code.fma(code.load(data, at[0]), before, code.load(totals, at[0])), totals, at[0]
                    )
                    return []

                code.loop(count, [(column, channels)], [], turn)
                return context.get_dummy_value()
            add, join = (code.square, builder.fadd) if operation == "power" else (code.larger, code.larger)
            over = builder.add(count, builder.sub(every, code.constant(1)))
            shape = builder.udiv(over, every), builder.mul(channels, every)
            result = _in_fours(code, data, shape, column, before, add, join)
            code.store(result, per_channel, column)
            return context.get_dummy_value()

        return types.void(x, every, channel, held, total), codegen

    return rows


def _in_fours(
    code: _Code, data: Any, shape: tuple[Any, Any], column: Any, before: Any, add: Any, join: Any
) -> Any:
    """Rows of `data`, `shape` (how many, elements from one to the next), through `add(held, row)`:
    ROWS_AT_ONCE chains beside one another, then joined."""
    builder, (count, stride) = code.builder, shape
    step = builder.mul(stride, code.constant(ROWS_AT_ONCE))
    starts = [(builder.add(column, builder.mul(stride, code.constant(k))), step) for k in range(ROWS_AT_ONCE)]

    def four(at: list[Any], values: list[Any]) -> list[Any]:
        return [add(value, code.load(data, place)) for value, place in zip(values, at, strict=True)]

    nothing = code.zero()
    turns = builder.udiv(count, code.constant(ROWS_AT_ONCE))
    chains = code.loop(turns, starts, [before, *[nothing] * (ROWS_AT_ONCE - 1)], four)
    over = builder.urem(count, code.constant(ROWS_AT_ONCE))
    rest = builder.add(column, builder.mul(turns, step))

    def one(at: list[Any], values: list[Any]) -> list[Any]:
        return [add(values[0], code.load(data, at[0]))]

    (chains[0],) = code.loop(over, [(rest, stride)], [chains[0]], one)
    return join(join(chains[0], chains[1]), join(chains[2], chains[3]))


def _decode_eight(context: Any, builder: Any, raw: Any, out: Any, at: Any) -> None:
    """Eight 24-bit samples, MSB first, from `raw` (bytes) to `out` (int32), both from sample `at` on."""
    byte, word = ir.IntType(8), ir.IntType(32)
    packed = ir.VectorType(byte, 24)
    place = builder.gep(raw, [builder.mul(at, ir.Constant(at.type, 3))])
    loaded = builder.load(builder.bitcast(place, packed.as_pointer()))
    loaded.align = 1
    # Little-endian words: nothing, then last, middle and first byte; the shift brings the sign down.
    lanes = [lane for k in range(8) for lane in (24, 3 * k + 2, 3 * k + 1, 3 * k)]
    mask = ir.Constant(ir.VectorType(word, 32), lanes)
    words = builder.shuffle_vector(loaded, ir.Constant(packed, [0] * 24), mask)
    eight = ir.VectorType(word, 8)
    shifted = builder.ashr(builder.bitcast(words, eight), ir.Constant(eight, [8] * 8))
    to = builder.bitcast(builder.gep(out, [at]), eight.as_pointer())
    builder.store(shifted, to).align = 4


@intrinsic
def decode_eight(typingctx: Any, raw: Any, out: Any, at: Any) -> Any:
    """Intrinsic (raw (byte,) uint8, out (sample,) int32, at): decode the eight samples from `at` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, _ = _array(context, builder, signature.args[0], args[0])
        to, _ = _array(context, builder, signature.args[1], args[1])
        _decode_eight(context, builder, data, to, args[2])
        return context.get_dummy_value()

    return types.void(raw, out, at), codegen
