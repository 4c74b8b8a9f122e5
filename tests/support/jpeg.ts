/** JPEG streams for tests: headers as real ones have them, without an image that anybody could see. */

export interface JpegShape {
  readonly jfif?: boolean;
  /** Transform flag of an Adobe marker. */
  readonly adobe?: number;
  /** Names of the components. */
  readonly ids?: readonly number[];
  /** SOF marker. */
  readonly marker?: number;
  readonly precision?: number;
}

/** A stream of `shape`; baseline with three components unless it says otherwise. */
export function jpeg({ jfif, adobe, ids = [1, 2, 3], marker = 0xc0, precision = 8 }: JpegShape): Buffer {
  const frame = [precision, 0, 2, 0, 2, ids.length, ...ids.flatMap((id) => [id, 0x11, 0])];
  return Buffer.concat([
    Buffer.from("ffd8", "hex"),
    ...(jfif ? [segment(0xe0, Buffer.from("4a46494600010100000100010000", "hex"))] : []),
    ...(adobe === undefined ? [] : [segment(0xee, Buffer.from([...Buffer.from("Adobe"), 0, 100, 0, 0, 0, 0, adobe]))]),
    segment(marker, Buffer.from(frame)),
    segment(0xda, Buffer.from([ids.length, ...ids.flatMap((id) => [id, 0]), 0, 63, 0])),
    Buffer.from("00ffd9", "hex"),
  ]);
}

function segment(marker: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xff, marker, 0, bytes.length + 2]), bytes]);
}
