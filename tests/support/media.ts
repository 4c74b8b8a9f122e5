/** Small real media for tests: JPEG and JP2 as encoders wrote them, PDF, STL and MP4 composed here. */

/** 8 x 6 pixels, three components, baseline, 305 bytes. */
export const jpeg = Buffer.from(
  "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/wAARCAAGAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAf/xAAXEAEAAwAAAAAAAAAAAAAAAAAAAxVh/8QAFQEBAQAAAAAAAAAAAAAAAAAABQf/xAAZEQACAwEAAAAAAAAAAAAAAAAABQEWUwL/2gAMAwEAAhEDEQA/AIndy6AsNZVYcidhZ7Sf/9k=",
  "base64",
);

/** 8 x 6 pixels, three components of 16 bits, reversible, in the boxes of a file. */
export const jp2 = Buffer.from(
  "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAABgAAAAgAAw8HAAAAAAAPY29scgEAAAAAABAAAADganAyY/9P/1EALwAAAAAACAAAAAYAAAAAAAAAAAAAAAgAAAAGAAAAAAAAAAAAAw8BAQ8BAQ8BAf9SAAwAAAABAQIEBAAB/1wACkCAiIiQiIiQ/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAAAAAAYgAB/5PP/DAUCJDemEff+JBICzmVERYxQaoB/3jAUAP3STAnOZZsc3eAoD+QQAh/U0+gP5BAAcc/X4Ch/0GCgAy9sx31HPwlqF+h/0GCgA4+Xo76jn4S1C//2Q==",
  "base64",
);

/** The codestream of `jp2`. */
export const j2k = jp2.subarray(jp2.indexOf(Buffer.from([0xff, 0x4f, 0xff, 0x51])));

/** A PDF of one empty page, of odd length. */
export function pdf(): Buffer<ArrayBuffer> {
  const text =
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
  return Buffer.from(text.length % 2 === 1 ? text : `${text}\n`);
}

/** A PDF of `length` bytes and a little more: the rest is a comment. */
export function longPdf(length: number): Buffer<ArrayBuffer> {
  return Buffer.concat([pdf(), Buffer.from("%"), Buffer.alloc(length, "noctis "), Buffer.from("\n")]);
}

/** One triangle as ASCII STL. */
export const stl = Buffer.from(
  "solid t\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid t\n",
);

function box(type: string, ...bodies: readonly Buffer[]): Buffer {
  const body = Buffer.concat(bodies);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8);
  head.write(type, 4, "latin1");
  return Buffer.concat([head, body]);
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}

/** What an MP4 file of `mp4` may say of itself. */
export interface Mp4Options {
  readonly profile?: number;
  /** Ten times the level. */
  readonly level?: number;
  readonly codec?: string;
  /** Bytes of the coded video. */
  readonly mediaBytes?: number;
}

/** An MP4 file (ISO/IEC 14496-12) of 320 x 240 pixels and 50 frames in two seconds; its video decodes to nothing. */
export function mp4({ profile = 100, level = 40, codec = "avc1", mediaBytes = 100 }: Mp4Options = {}): Buffer {
  const sample = Buffer.alloc(78);
  sample.writeUInt16BE(320, 24);
  sample.writeUInt16BE(240, 26);
  const hvcC = Buffer.alloc(23);
  hvcC.set([1, profile, 0x60, 0, 0, 0], 0);
  hvcC[12] = level;
  const configuration = codec === "hvc1" ? box("hvcC", hvcC) : box("avcC", Buffer.from([1, profile, 0, level]));
  const table = box("stbl", box("stsd", words(0, 1), box(codec, sample, configuration)), box("stsz", words(0, 2, 50)));
  const media = box(
    "mdia",
    box("mdhd", words(0, 0, 0, 1000, 2000, 0)),
    box("hdlr", words(0, 0), Buffer.from("vide"), words(0, 0, 0)),
    box("minf", table),
  );
  return Buffer.concat([
    box("ftyp", Buffer.from("isom"), words(0)),
    box("mdat", Buffer.alloc(mediaBytes, 7)),
    box("moov", box("trak", box("mdia", box("hdlr", words(0, 0), Buffer.from("soun")))), box("trak", media)),
  ]);
}
