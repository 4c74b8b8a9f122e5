/** The upper layer of one connection (PS3.8 9.2): PDUs in and out by the state table, and the ARTIM timer. */
import type { Socket } from "node:net";
import { ArchiveError, toArchiveError } from "../errors.ts";
import {
  abortReasons,
  type AssociateAccept,
  type AssociateReject,
  type AssociateRequest,
  type ControlPdu,
  type DataFragment,
  PduFault,
} from "./pdu.ts";
import { PduReader } from "./pdu-reader.ts";
import { encodePdu } from "./pdu-writer.ts";
import { rejectionSentence } from "./reject-words.ts";
import { type Action, type Event, type State, transition } from "./state-table.ts";
import { TimeLimit } from "./time-limit.ts";
import type { EndKind, UpperLayerUser } from "./upper-layer-user.ts";

/** Events by the type of a PDU that came (PS3.8 Table 9-4). */
const eventsOfPdus: Readonly<Record<ControlPdu["type"] | DataFragment["type"], Event>> = {
  "A-ASSOCIATE-AC": "Evt3",
  "A-ASSOCIATE-RJ": "Evt4",
  "A-ASSOCIATE-RQ": "Evt6",
  "P-DATA-TF": "Evt10",
  "A-RELEASE-RQ": "Evt12",
  "A-RELEASE-RP": "Evt13",
  "A-ABORT": "Evt16",
};

/** What an event brings with it. */
interface Detail {
  readonly pdu?: ControlPdu | DataFragment;
  /** Of an A-ABORT to be sent. */
  readonly abort?: { readonly source: number; readonly reason: number };
  readonly how?: EndKind;
  readonly why?: string;
  /** In place of one that `why` says. */
  readonly error?: ArchiveError;
}

const serviceUser = 0;
const serviceProvider = 2;

/** One connection, of either role. */
export class UpperLayer {
  readonly #socket: Socket;
  readonly #user: UpperLayerUser;
  readonly #reader: PduReader;
  readonly #artimMilliseconds: number;
  readonly #artim: TimeLimit;
  readonly #isRequestor: boolean;
  #state: State;
  #isPaused = false;
  #hasEnded = false;
  readonly closed: Promise<void>;

  /**
   * @param socket connected
   * @param artim milliseconds for the peer's part in opening and closing (PS3.8 9.1.5)
   * @param maximumLength longest P-DATA-TF PDU to be taken, as it is told the peer
   */
  constructor(
    socket: Socket,
    user: UpperLayerUser,
    { artim, maximumLength, isRequestor }: { artim: number; maximumLength: number; isRequestor: boolean },
  ) {
    this.#socket = socket;
    this.#user = user;
    this.#artimMilliseconds = artim;
    this.#artim = new TimeLimit(artim, () => this.#onArtim());
    this.#reader = new PduReader({ maximumLength });
    this.#isRequestor = isRequestor;
    this.#state = isRequestor ? "Sta4" : "Sta1";
    this.closed = new Promise((resolve) => void socket.once("close", () => resolve()));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => undefined);
    socket.on("end", () => this.#event("Evt17", { how: "connection lost" }));
    socket.on("close", () => {
      this.#event("Evt17", { how: "connection lost" });
      this.#artim.stop();
    });
    if (!isRequestor) this.#event("Evt5");
  }

  /** Whether P-DATA may be sent. */
  get isOpen(): boolean {
    return this.#state === "Sta6" || this.#state === "Sta8";
  }

  /** Whether the peer has sent a PDU in part. */
  get isWithinPdu(): boolean {
    return this.#reader.isWithinPdu;
  }

  /** Memory that a control PDU takes of which a part has come, in bytes. */
  get heldBytes(): number {
    return this.#reader.heldBytes;
  }

  /** A-ASSOCIATE request; the requestor's first. */
  associate(pdu: AssociateRequest): void {
    this.#guard(() => this.#event("Evt2", { pdu }));
    this.#artim.start();
  }

  /** A-ASSOCIATE response that accepts. */
  accept(pdu: AssociateAccept): void {
    this.#reader.isEstablished = true;
    this.#guard(() => this.#event("Evt7", { pdu }));
    this.resume();
  }

  /** A-ASSOCIATE response that rejects. */
  reject(pdu: AssociateReject): void {
    this.#event("Evt8", { pdu, how: "rejected" });
  }

  /** A-RELEASE request. */
  release(): void {
    this.#event("Evt11");
    this.#artim.start();
  }

  /** A-RELEASE response. */
  releaseResponse(): void {
    this.#event("Evt14", { how: "released" });
  }

  /** A-ABORT request of the user: this process ends the association. */
  abort(why: string, how: EndKind = "aborted"): void {
    this.#event("Evt15", { abort: { source: serviceUser, reason: abortReasons.notSpecified }, how, why });
  }

  /** Goes on with what came, when the user takes fragments again. */
  resume(): void {
    if (this.#isPaused && !this.#user.isFull()) this.#process();
  }

  /** Closes the connection without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#user.onProgress();
    if (this.#state === "Sta13" || this.#state === "Sta1") return;
    this.#reader.push(chunk);
    if (!this.#isPaused) this.#process();
    if (this.#state === "Sta2") this.#user.onRequestInPart?.();
  }

  #process(): void {
    this.#guard(() => {
      while (!this.#hasEnded && !this.#user.isFull()) {
        const pdu = this.#reader.next();
        if (!pdu) break;
        this.#event(eventsOfPdus[pdu.type], { pdu });
      }
    });
    this.#setPaused(!this.#hasEnded && this.#user.isFull());
  }

  /** Whatever is thrown costs this association, and no other. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      const isPduFault = error instanceof PduFault;
      const abort = { source: serviceProvider, reason: isPduFault ? error.reason : abortReasons.notSpecified };
      this.#event("Evt19", { abort, ...(isPduFault ? { why: error.message } : { error: toArchiveError(error) }) });
    }
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#socket.pause();
    else this.#socket.resume();
  }

  #event(event: Event, detail: Detail = {}): void {
    const cell = transition(this.#state, event);
    if (!cell) return;
    this.#state = cell.next;
    this.#actions[cell.action](detail);
  }

  /** PS3.8 Tables 9-6 to 9-9. */
  readonly #actions: Readonly<Record<Action, (detail: Detail) => void>> = {
    "AE-1": () => undefined,
    "AE-2": ({ pdu }) => this.#send(pdu),
    "AE-3": ({ pdu }) => {
      this.#artim.stop();
      this.#reader.isEstablished = true;
      if (pdu?.type === "A-ASSOCIATE-AC") this.#user.onAccept?.(pdu);
    },
    "AE-4": ({ pdu }) => {
      const sentence = pdu?.type === "A-ASSOCIATE-RJ" ? rejectionSentence(pdu) : "The peer rejects the association.";
      this.#finish("rejected", new ArchiveError("association-rejected", sentence));
      this.#close();
    },
    "AE-5": () => this.#artim.start(),
    "AE-6": ({ pdu }) => {
      this.#artim.stop();
      if (pdu?.type === "A-ASSOCIATE-RQ") this.#user.onRequest?.(pdu);
    },
    "AE-7": ({ pdu }) => this.#send(pdu),
    "AE-8": ({ pdu }) => {
      this.#sendLast(pdu);
      this.#finish("rejected", new ArchiveError("association-rejected", "The association was rejected."));
    },
    "DT-1": () => undefined,
    "DT-2": ({ pdu }) => this.#indicateData(pdu),
    "AR-1": ({ pdu = { type: "A-RELEASE-RQ" } }) => this.#send(pdu),
    "AR-2": () => this.#user.onRelease(),
    "AR-3": () => {
      this.#finish("released", new ArchiveError("association-aborted", "The association was released."));
      this.#close();
    },
    "AR-4": () => {
      this.#sendLast({ type: "A-RELEASE-RP" });
      this.#finish("released", new ArchiveError("association-aborted", "The peer released the association."));
    },
    "AR-5": () => this.#artim.stop(),
    "AR-6": ({ pdu }) => this.#indicateData(pdu),
    "AR-7": () => undefined,
    "AR-8": () => {
      // The requestor answers first (PS3.8 9.2.2, release collision).
      if (this.#isRequestor) this.#event("Evt14", { how: "released" });
      else this.#state = "Sta10";
    },
    "AR-9": () => this.#send({ type: "A-RELEASE-RP" }),
    "AR-10": () => this.#event("Evt14", { how: "released" }),
    "AA-1": (detail) => this.#abort({ ...detail, abort: { source: serviceUser, reason: abortReasons.notSpecified } }),
    "AA-2": () => {
      this.#finish("timeout", new ArchiveError("peer-silent", "The peer did not answer in time."));
      this.#close();
    },
    "AA-3": ({ pdu }) => {
      const bySystem = pdu?.type === "A-ABORT" && pdu.source === serviceProvider;
      const sentence = `The peer aborted the association${bySystem ? ` (reason ${pdu.reason})` : ""}.`;
      this.#finish("aborted by peer", new ArchiveError("association-aborted", sentence));
      this.#close();
    },
    "AA-4": () => {
      this.#finish("connection lost", new ArchiveError("association-aborted", "The peer closed the connection."));
      this.#close();
    },
    "AA-5": () => {
      this.#finish("connection lost", new ArchiveError("association-aborted", "The peer closed the connection."));
      this.#close();
    },
    "AA-6": () => undefined,
    "AA-7": (detail) => this.#abort(detail),
    "AA-8": (detail) => this.#abort({ how: "aborted", ...detail, abort: detail.abort ?? unexpectedPdu }),
  };

  #indicateData(pdu: Detail["pdu"]): void {
    if (pdu?.type === "P-DATA-TF") this.#user.onFragment(pdu);
  }

  #abort(detail: Detail): void {
    const { abort = unexpectedPdu, how = "aborted", why = "The peer sent a PDU that was not expected." } = detail;
    const { error = new ArchiveError(how === "timeout" ? "peer-silent" : "association-aborted", why) } = detail;
    this.#sendLast({ type: "A-ABORT", ...abort });
    this.#finish(how, error);
  }

  #finish(how: EndKind, error: ArchiveError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#user.onEnd(error, how);
  }

  #send(pdu: Detail["pdu"]): void {
    if (pdu && pdu.type !== "P-DATA-TF") this.#socket.write(encodePdu(pdu));
  }

  /** Sends what is the last word of this side; the peer gets a while to close. */
  #sendLast(pdu: Detail["pdu"]): void {
    if (pdu && pdu.type !== "P-DATA-TF") this.#socket.end(encodePdu(pdu));
    this.#setPaused(false);
    this.#artim.start();
  }

  /** What was written before goes out first, unless the peer does not read it in time. */
  #close(): void {
    this.#artim.start();
    this.#socket.destroySoon();
  }

  /** The state table knows of it where an acceptor waits; a requestor that waits for an answer gives up likewise. */
  #onArtim(): void {
    if (transition(this.#state, "Evt18")) this.#event("Evt18");
    else this.abort("The peer did not answer in time.", "timeout");
    // What was written last may not have gone out: the peer does not read.
    setTimeout(() => this.#socket.destroy(), this.#state === "Sta13" ? this.#artimMilliseconds : 0).unref();
  }
}

const unexpectedPdu = { source: serviceProvider, reason: abortReasons.unexpectedPdu };
