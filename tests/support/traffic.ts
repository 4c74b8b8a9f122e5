/** Requests as large, as many, as slow and as broken as clients make them: for tests of memory and of back-pressure. */
import { randomBytes } from "node:crypto";
import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { constants, deflateRawSync } from "node:zlib";
import { newUid } from "../../server/dicom/uid.ts";
import { dicomFile, element, explicitLittle, metaGroup, type Piece, raw, syntaxUid, write } from "./dicom-writer.ts";

/** A body that is made while it is sent. */
export interface MadeBody {
  readonly contentType: string;
  readonly pieces: Iterable<Buffer>;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
}

/** UIDs that a test wants to choose. */
export interface ChosenUids {
  readonly StudyInstanceUID?: string;
  readonly SeriesInstanceUID?: string;
}

const mebibyte = 2 ** 20;
const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
/** One frame is as large as one piece. */
const [rows, columns] = [1024, 1024];
const noise = randomBytes(mebibyte);

/** An instance of `megabytes` frames of 1 MiB, without compression. */
export function nativeInstance(megabytes: number, chosen: ChosenUids = {}): MadeBody {
  const uids = uidsOf(chosen);
  const begin = dicomFile([...header(uids, megabytes), raw(pixelHeader(megabytes * mebibyte))]);
  return { ...names(uids), contentType: "application/dicom", pieces: repeated([begin], noise, megabytes) };
}

/** The same in Deflated Explicit VR Little Endian; the pieces inflate to a megabyte each. */
export function deflatedInstance(megabytes: number): MadeBody {
  const uids = uidsOf({});
  // Behind a full flush a piece of a deflated stream means the same wherever it stands (RFC 1951).
  const flushed = (bytes: Buffer) => deflateRawSync(bytes, { level: 1, finishFlush: constants.Z_FULL_FLUSH });
  const dataSet = write([...header(uids, megabytes), raw(pixelHeader(megabytes * mebibyte))], explicitLittle);
  const begin = Buffer.concat([
    Buffer.alloc(128),
    Buffer.from("DICM"),
    metaGroup(syntaxUid.deflated),
    flushed(dataSet),
  ]);
  const end = deflateRawSync(Buffer.alloc(0));
  const piece = flushed(Buffer.from(noise.toString("hex").slice(0, mebibyte)));
  return { ...names(uids), contentType: "application/dicom", pieces: repeated([begin], piece, megabytes, [end]) };
}

/** An instance of `megabytes` times 256 frames, each a fragment of 4 KiB. */
export function encapsulatedInstance(megabytes: number): MadeBody {
  const uids = uidsOf({});
  const pixelData = Buffer.from("e07f10004f420000fffffffffeff00e000000000", "hex");
  const begin = dicomFile([...header(uids, megabytes * 256), raw(pixelData)], { syntax: syntaxUid.jpegBaseline });
  const fragment = Buffer.concat([
    Buffer.from("feff00e000100000", "hex"),
    Buffer.from([0xff, 0xd8]),
    noise.subarray(2, 4096),
  ]);
  const piece = Buffer.concat(Array.from({ length: 256 }, () => fragment));
  const end = Buffer.from("feffdde000000000", "hex");
  return { ...names(uids), contentType: "application/dicom", pieces: repeated([begin], piece, megabytes, [end]) };
}

/** An instance of `megabytes` frames as metadata and bulk data (PS3.18 10.5.1.2). */
export function metadataAndBulkData(megabytes: number): MadeBody {
  const uids = uidsOf({});
  const model = {
    "00080016": { vr: "UI", Value: [secondaryCapture] },
    "00080018": { vr: "UI", Value: [uids.sopInstanceUid] },
    "00100020": { vr: "LO", Value: ["TRAFFIC"] },
    "0020000D": { vr: "UI", Value: [uids.studyInstanceUid] },
    "0020000E": { vr: "UI", Value: [uids.seriesInstanceUid] },
    "00280002": { vr: "US", Value: [1] },
    "00280004": { vr: "CS", Value: ["MONOCHROME2"] },
    "00280008": { vr: "IS", Value: [megabytes] },
    "00280010": { vr: "US", Value: [rows] },
    "00280011": { vr: "US", Value: [columns] },
    "00280100": { vr: "US", Value: [8] },
    "00280101": { vr: "US", Value: [8] },
    "00280102": { vr: "US", Value: [7] },
    "00280103": { vr: "US", Value: [0] },
    "7FE00010": { vr: "OW", BulkDataURI: "pixels" },
  };
  const begin = [
    `\r\n--traffic\r\nContent-Type: application/dicom+json\r\n\r\n${JSON.stringify([model])}`,
    `\r\n--traffic\r\nContent-Type: application/octet-stream\r\nContent-Location: pixels\r\n\r\n`,
  ];
  return {
    ...names(uids),
    contentType: 'multipart/related; type="application/dicom+json"; boundary=traffic',
    pieces: repeated([Buffer.from(begin.join(""))], noise, megabytes, [Buffer.from("\r\n--traffic--\r\n")]),
  };
}

/** A body of `count` instances of one series, each of `kilobytes` and with `attributes` beside those of an image. */
export function manyInstances(
  count: number,
  kilobytes: number,
  chosen: ChosenUids = {},
  attributes: readonly Piece[] = [],
): MadeBody {
  const uids = uidsOf(chosen);
  function* pieces(): Generator<Buffer> {
    for (let index = 0; index < count; index += 1) {
      const own = { ...uids, sopInstanceUid: newUid() };
      yield Buffer.from("\r\n--traffic\r\nContent-Type: application/dicom\r\n\r\n");
      yield dicomFile([...header(own, 1), ...attributes, raw(pixelHeader(kilobytes * 1024))]);
      for (let left = kilobytes * 1024; left > 0; left -= mebibyte) yield noise.subarray(0, Math.min(left, mebibyte));
    }
    yield Buffer.from("\r\n--traffic--\r\n");
  }
  const contentType = 'multipart/related; type="application/dicom"; boundary=traffic';
  return { ...names(uids), contentType, pieces: pieces() };
}

/** How a body is sent. */
export interface Pace {
  /** Milliseconds between two pieces. */
  readonly pause?: number;
  /** Pieces are cut to so many bytes. */
  readonly pieceLength?: number;
  /** The connection is destroyed when so many bytes have been written. */
  readonly dieAfter?: number;
  /** Told of all bytes that the system has taken from us. */
  readonly onSent?: (bytes: number) => void;
}

/** Sends `body` to the STOW-RS of the server at `url`; the status of the answer, 0 when the connection ended without one. */
export function post(url: string, { contentType, pieces }: MadeBody, pace: Pace = {}): Promise<number> {
  const headers = { "Content-Type": contentType };
  const sending = httpRequest(`${url}/dicom-web/studies`, { method: "POST", headers, agent: false });
  const closed = new Promise<false>((resolve) => sending.once("close", () => resolve(false)));
  const answered = new Promise<number>((resolve) => {
    sending.once("response", (response) => response.resume().once("close", () => resolve(response.statusCode ?? 0)));
    sending.once("error", () => resolve(0));
    sending.once("close", () => resolve(0));
  });
  const writePiece = (bytes: Buffer) =>
    Promise.race([closed, new Promise<boolean>((resolve) => sending.write(bytes, (error) => resolve(!error)))]);
  void sendPieces(sending, writePiece, pieces, pace);
  return answered;
}

async function sendPieces(
  sending: ClientRequest,
  writePiece: (bytes: Buffer) => Promise<boolean>,
  pieces: Iterable<Buffer>,
  { pause = 0, pieceLength = mebibyte, dieAfter = Infinity, onSent }: Pace,
): Promise<void> {
  let sent = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += pieceLength) {
      const part = piece.subarray(at, at + pieceLength);
      if (!(await writePiece(part))) return;
      sent += part.length;
      onSent?.(sent);
      if (sent >= dieAfter) {
        sending.destroy();
        return;
      }
      if (pause > 0) await sleep(pause);
    }
  }
  sending.end();
}

/** What came of a download. */
export interface Download {
  readonly status: number;
  readonly byteLength: number;
}

/**
 * Reads what is at `url`. With `rate` (bytes a second) no faster than that; with `until` no more bytes than that, and
 * then the connection is destroyed.
 */
export function download(url: string, accept: string, { rate = Infinity, until = Infinity } = {}): Promise<Download> {
  return new Promise((resolve, reject) => {
    const asking = httpRequest(url, { headers: { Accept: accept }, agent: false }, (response) => {
      readAll(response, rate, until).then((byteLength) => {
        asking.destroy();
        resolve({ status: response.statusCode ?? 0, byteLength });
      }, reject);
    });
    asking.on("error", reject);
    asking.end();
  });
}

async function readAll(response: IncomingMessage, rate: number, until: number): Promise<number> {
  const begun = performance.now();
  let read = 0;
  for await (const chunk of response) {
    read += Buffer.isBuffer(chunk) ? chunk.length : 0;
    if (read >= until) break;
    const ahead = (read / rate) * 1000 - (performance.now() - begun);
    if (ahead > 5) await sleep(ahead);
  }
  return read;
}

interface Uids {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
}

function uidsOf({ StudyInstanceUID = newUid(), SeriesInstanceUID = newUid() }: ChosenUids): Uids {
  return { studyInstanceUid: StudyInstanceUID, seriesInstanceUid: SeriesInstanceUID, sopInstanceUid: newUid() };
}

function names({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: Uids): Uids {
  return { studyInstanceUid, seriesInstanceUid, sopInstanceUid };
}

function header({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: Uids, frames: number): Piece[] {
  return [
    element(0x00080016, "UI", secondaryCapture),
    element(0x00080018, "UI", sopInstanceUid),
    element(0x00100020, "LO", "TRAFFIC"),
    element(0x0020000d, "UI", studyInstanceUid),
    element(0x0020000e, "UI", seriesInstanceUid),
    element(0x00280002, "US", [1]),
    element(0x00280004, "CS", "MONOCHROME2"),
    element(0x00280008, "IS", String(frames)),
    element(0x00280010, "US", [rows]),
    element(0x00280011, "US", [columns]),
    element(0x00280100, "US", [8]),
    element(0x00280101, "US", [8]),
    element(0x00280102, "US", [7]),
    element(0x00280103, "US", [0]),
  ];
}

/** The header of Pixel Data (OW) of `length` bytes in explicit VR little endian. */
function pixelHeader(length: number): Buffer {
  const bytes = Buffer.from("e07f10004f57000000000000", "hex");
  bytes.writeUInt32LE(length, 8);
  return bytes;
}

function* repeated(begin: readonly Buffer[], piece: Buffer, times: number, end: readonly Buffer[] = []) {
  yield* begin;
  for (let index = 0; index < times; index += 1) yield piece;
  yield* end;
}
