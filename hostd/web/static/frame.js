// One binary WebSocket frame -> {topic, header, past}: u32 length, JSON, padding to 8, aligned raw buffers.
// Every described array in the header becomes {shape, values}; values are a view into the frame, not a copy.

const TYPES = {
  "<f4": Float32Array, "<f8": Float64Array, "<i4": Int32Array, "<u4": Uint32Array,
  "<i2": Int16Array, "<u2": Uint16Array, "|i1": Int8Array, "|u1": Uint8Array,
};
const utf8 = new TextDecoder();

export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const message = JSON.parse(utf8.decode(new Uint8Array(buffer, 4, length)));
  const start = Math.ceil((4 + length) / 8) * 8;
  for (const [key, value] of Object.entries(message.header)) {
    if (value === null || typeof value !== "object" || !("offset" in value && "dtype" in value)) continue;
    const Type = TYPES[value.dtype];
    const count = value.shape.reduce((product, side) => product * side, 1);
    message.header[key] = Type ? { shape: value.shape, values: new Type(buffer, start + value.offset, count) } : null;
  }
  return message;
}

// The numbers of a header field, whether it came as a list or as an array; null where it is neither.
export function numbers(field) {
  if (Array.isArray(field)) return field;
  return field && field.values ? field.values : null;
}
