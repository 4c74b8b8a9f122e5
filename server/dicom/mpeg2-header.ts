/** Reads the sequence header of MPEG-2 video (ISO/IEC 13818-2 6.2.2.1), which a stream begins with or soon has. */
import { malformedMedia, type PixelDescription, reader } from "./media-header.ts";
import type { ByteSource } from "./part10-writer.ts";

/** Frames a second by frame_rate_code (ISO/IEC 13818-2 Table 6-4). */
const rates = [0, 24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60];

/** What the stream says of itself; how many frames it has it does not tell. @throws ArchiveError `malformed-media` */
export async function readMpeg2Header(source: ByteSource): Promise<PixelDescription> {
  const start = await reader(source)(0, 2 ** 20);
  const at = start.indexOf(Buffer.from([0, 0, 1, 0xb3]));
  if (at === -1 || at + 8 > start.length) throw malformedMedia("The bytes are not an MPEG-2 video.");
  const size = start.readUIntBE(at + 4, 3);
  const [columns, rows] = [size >> 12, size & 0xfff];
  if (rows === 0 || columns === 0) throw malformedMedia("The MPEG-2 video does not tell its size.");
  const rate = rates[start.readUInt8(at + 7) & 15] ?? 0;
  const isMainLevel = columns <= 720 && rows <= 576;
  return {
    transferSyntaxUid: isMainLevel ? "1.2.840.10008.1.2.4.100" : "1.2.840.10008.1.2.4.101",
    rows,
    columns,
    samplesPerPixel: 3,
    bitsStored: 8,
    signed: false,
    photometricInterpretation: "YBR_PARTIAL_420",
    lossyMethod: "ISO_13818_2",
    frameTime: rate > 0 ? 1000 / rate : undefined,
    warnings: [],
  };
}
