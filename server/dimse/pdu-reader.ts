/** Takes bytes as they come from the network and gives PDUs, or pieces of P-DATA-TF PDUs (PS3.8 9.3). */
import { decodeAssociateAccept, decodeAssociateRequest } from "./pdu-items.ts";
import { abortReasons, PduFault, pduTypes, type ControlPdu, type DataFragment } from "./pdu.ts";

/** Bytes of a PDU header: type, reserved byte, length of four bytes (PS3.8 9.3.1). */
const pduHeaderLength = 6;

/** Bytes in front of a PDV's value: length of four bytes, context id, message control header (PS3.8 9.3.5.1, E.2). */
const pdvHeaderLength = 6;

/** Longest A-ASSOCIATE-RQ and A-ASSOCIATE-AC: 128 contexts of 200 transfer syntaxes each. */
const longestAssociate = 1024 * 1024;

/** Content of the PDUs that have none but reserved and coded bytes (PS3.8 9.3.4, 9.3.6 to 9.3.8). */
const shortControlLength = 4;

/** Some peers take the maximum length for that of a PDV's value, or forget a header. */
const excessLength = 12;

const nothing: Buffer = Buffer.alloc(0);

const controlPdus: ReadonlyMap<number, (body: Buffer) => ControlPdu> = new Map<number, (body: Buffer) => ControlPdu>([
  [pduTypes.associateRequest, decodeAssociateRequest],
  [pduTypes.associateAccept, decodeAssociateAccept],
  [
    pduTypes.associateReject,
    (body) => ({
      type: "A-ASSOCIATE-RJ",
      result: body.readUInt8(1),
      source: body.readUInt8(2),
      reason: body.readUInt8(3),
    }),
  ],
  [pduTypes.releaseRequest, () => ({ type: "A-RELEASE-RQ" })],
  [pduTypes.releaseResponse, () => ({ type: "A-RELEASE-RP" })],
  [pduTypes.abort, (body) => ({ type: "A-ABORT", source: body.readUInt8(2), reason: body.readUInt8(3) })],
]);

/** What speaks another protocol to the port of this one, by its first byte: the usual mistakes of a configuration. */
const otherProtocols: ReadonlyMap<number, string> = new Map([
  [0x16, "TLS"],
  ...["G", "H", "P", "O", "D"].map((letter): [number, string] => [letter.charCodeAt(0), "HTTP"]),
]);

/** What the bytes that come next are. */
type Stage =
  | { readonly name: "pdu-header" }
  | { readonly name: "control"; readonly length: number; readonly decode: (body: Buffer) => ControlPdu }
  | { readonly name: "pdv-header" }
  | { readonly name: "pdv"; readonly contextId: number; readonly isCommand: boolean; readonly isLast: boolean };

const pduHeader: Stage = { name: "pdu-header" };
const pdvHeader: Stage = { name: "pdv-header" };

/**
 * An incremental reader of what one peer sends. Control PDUs are put together; the values of PDVs are given as slices of
 * the chunks. A PDU that may not be, or is too long, is refused at its header.
 */
export class PduReader {
  /** Whether an association is there: P-DATA-TF is unexpected before, A-ASSOCIATE from then on. */
  isEstablished = false;

  readonly #longestData: number;
  readonly #waiting: Buffer[] = [];
  #chunk = nothing;
  #at = 0;
  #stage = pduHeader;
  /** Bytes of the P-DATA-TF that are still to come, and of its PDV under way. */
  #pduLeft = 0;
  #pdvLeft = 0;
  /** A header or a control PDU that comes in more than one chunk. */
  #gathered = nothing;
  #gatheredLength = 0;
  #fault: PduFault | undefined;

  /** @param options.maximumLength what this side has told the peer to be its Maximum Length (PS3.8 D.1), in bytes; not 0 */
  constructor({ maximumLength }: { readonly maximumLength: number }) {
    this.#longestData = maximumLength + excessLength;
  }

  /** Whether a PDU has begun and not ended. */
  get isWithinPdu(): boolean {
    return this.#stage !== pduHeader || this.#gatheredLength > 0;
  }

  /** Memory that a control PDU takes of which a part has come, in bytes. */
  get heldBytes(): number {
    return this.#gathered.length;
  }

  /** Takes bytes that have come. They belong to the reader from then on. */
  push(chunk: Buffer): void {
    if (this.#fault || chunk.length === 0) return;
    if (this.#at < this.#chunk.length) this.#waiting.push(chunk);
    else {
      this.#chunk = chunk;
      this.#at = 0;
    }
  }

  /**
   * The next PDU, or piece of one; undefined until more bytes come.
   * @throws PduFault from the first fault on at every call; no byte is kept then
   */
  next(): ControlPdu | DataFragment | undefined {
    if (this.#fault) throw this.#fault;
    try {
      return this.#read();
    } catch (error) {
      if (error instanceof PduFault) this.#fault = error;
      this.#chunk = this.#gathered = nothing;
      this.#at = 0;
      this.#waiting.length = 0;
      throw error;
    }
  }

  #read(): ControlPdu | DataFragment | undefined {
    for (;;) {
      const stage = this.#stage;
      if (stage.name === "pdv") {
        if (this.#pdvLeft > 0 && !this.#hasBytes()) return undefined;
        return this.#fragment(stage);
      }
      if (stage.name === "control") {
        const body = this.#gather(stage.length);
        if (!body) return undefined;
        this.#stage = pduHeader;
        return stage.decode(body);
      }
      const header = this.#gather(stage.name === "pdu-header" ? pduHeaderLength : pdvHeaderLength);
      if (!header) return undefined;
      this.#stage = stage.name === "pdu-header" ? this.#stageAfterPduHeader(header) : this.#stageAfterPdvHeader(header);
    }
  }

  #stageAfterPduHeader(header: Buffer): Stage {
    const type = header.readUInt8();
    const length = header.readUInt32BE(2);
    if (type === pduTypes.dataTransfer) return this.#dataTransferStage(length);
    const decode = controlPdus.get(type);
    if (!decode) {
      const guess = otherProtocols.get(type);
      const what = `There is no PDU type ${type.toString(16).padStart(2, "0")}`;
      throw new PduFault(abortReasons.unrecognizedPdu, `${what}${guess === undefined ? "" : `: it speaks ${guess}`}.`);
    }
    const isAssociate = type === pduTypes.associateRequest || type === pduTypes.associateAccept;
    if (isAssociate && this.isEstablished) {
      throw new PduFault(abortReasons.unexpectedPdu, "An A-ASSOCIATE PDU came when the association was there.");
    }
    if (isAssociate ? length > longestAssociate : length !== shortControlLength) {
      throw invalid(`A PDU of type ${type.toString(16).padStart(2, "0")} declares ${length} bytes.`);
    }
    return { name: "control", length, decode };
  }

  #dataTransferStage(length: number): Stage {
    if (!this.isEstablished) {
      throw new PduFault(abortReasons.unexpectedPdu, "A P-DATA-TF PDU came before the association was there.");
    }
    if (length > this.#longestData) {
      throw invalid(`A P-DATA-TF PDU declares ${length} bytes, more than the maximum length.`);
    }
    this.#pduLeft = length;
    return this.#stageBehindPdv();
  }

  #stageBehindPdv(): Stage {
    if (this.#pduLeft === 0) return pduHeader;
    if (this.#pduLeft < pdvHeaderLength) throw invalid("A P-DATA-TF PDU ends within the header of a PDV.");
    return pdvHeader;
  }

  #stageAfterPdvHeader(header: Buffer): Stage {
    // The length counts context id and message control header (PS3.8 Table 9-23).
    const length = header.readUInt32BE();
    const left = this.#pduLeft - pdvHeaderLength;
    if (length < 2) throw invalid("A PDV is shorter than its header.");
    if (length - 2 > left) throw invalid("A PDV is longer than its P-DATA-TF PDU.");
    this.#pduLeft = left - (length - 2);
    this.#pdvLeft = length - 2;
    const control = header.readUInt8(5);
    return {
      name: "pdv",
      contextId: header.readUInt8(4),
      isCommand: (control & 1) !== 0,
      isLast: (control & 2) !== 0,
    };
  }

  #fragment({ contextId, isCommand, isLast }: Stage & { readonly name: "pdv" }): DataFragment {
    const end = Math.min(this.#at + this.#pdvLeft, this.#chunk.length);
    const bytes = this.#pdvLeft === 0 ? nothing : this.#chunk.subarray(this.#at, end);
    this.#at += bytes.length;
    this.#pdvLeft -= bytes.length;
    const isWhole = this.#pdvLeft === 0;
    if (isWhole) this.#stage = this.#stageBehindPdv();
    return { type: "P-DATA-TF", contextId, isCommand, isLast: isLast && isWhole, bytes };
  }

  /** Whether bytes are there that were not given; goes to the next chunk when one is used up. */
  #hasBytes(): boolean {
    if (this.#at < this.#chunk.length) return true;
    this.#chunk = this.#waiting.shift() ?? nothing;
    this.#at = 0;
    return this.#chunk.length > 0;
  }

  /** `length` bytes in one piece; undefined, and what is there kept, until so many have come. */
  #gather(length: number): Buffer | undefined {
    if (this.#gatheredLength === 0 && this.#chunk.length - this.#at >= length) {
      this.#at += length;
      return this.#chunk.subarray(this.#at - length, this.#at);
    }
    while (this.#gatheredLength < length) {
      if (!this.#hasBytes()) return undefined;
      const taken = Math.min(length - this.#gatheredLength, this.#chunk.length - this.#at);
      this.#makeRoom(this.#gatheredLength + taken, length);
      this.#chunk.copy(this.#gathered, this.#gatheredLength, this.#at, this.#at + taken);
      this.#at += taken;
      this.#gatheredLength += taken;
    }
    const whole = this.#gathered.subarray(0, length);
    this.#gathered = nothing;
    this.#gatheredLength = 0;
    return whole;
  }

  /** Grows with what has come, not with what is declared: a peer cannot have memory set aside by a header alone. */
  #makeRoom(wanted: number, length: number): void {
    if (wanted <= this.#gathered.length) return;
    const larger = Buffer.alloc(Math.min(length, Math.max(wanted, this.#gathered.length * 2)));
    this.#gathered.copy(larger, 0, 0, this.#gatheredLength);
    this.#gathered = larger;
  }
}

function invalid(message: string): PduFault {
  return new PduFault(abortReasons.invalidParameterValue, message);
}
