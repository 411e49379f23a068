// One byte string at many places. A decoder that works in place must say the same at all of them:
// then it reads nothing outside the range that it was given.

/** Where the bytes lie; `offset` is to be passed with their length. */
export interface Placement {
  readonly name: string;
  readonly view: DataView;
  readonly offset: number;
}

/**
 * The bytes, `before` bytes into buffers that differ outside of them, and in views that end with
 * them or are nothing but them, where reading outside throws.
 */
export function placements(bytes: Uint8Array, before: number, after: number): Placement[] {
  const filled = (name: string, fill: (index: number) => number): Placement => {
    const buffer = Uint8Array.from({ length: before + bytes.length + after }, (_, at) => fill(at));
    buffer.set(bytes, before);
    return { name, view: new DataView(buffer.buffer), offset: before };
  };
  const among = filled("among 0x06", () => 6);
  return [
    { name: "alone", view: new DataView(among.view.buffer, before, bytes.length), offset: 0 },
    {
      name: "at the end",
      view: new DataView(among.view.buffer, 0, before + bytes.length),
      offset: before,
    },
    among,
    filled("among 0x00", () => 0),
    filled("among 0xff", () => 255),
    filled("among counting bytes", (index) => index * 37 & 255),
  ];
}
