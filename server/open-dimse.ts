/** Opens the DIMSE door as the settings say: who may come in, on which address, and how peers are reached. */
import { readFile } from "node:fs/promises";
import type { Activity } from "./activity.ts";
import type { Archive } from "./archive/archive.ts";
import type { Config } from "./config.ts";
import { parseAcceptRule } from "./dimse/accept-rules.ts";
import { type Admission, createAdmission } from "./dimse/admission.ts";
import { type AssociationTimeouts, type Connect, connect } from "./dimse/connect.ts";
import { createDimseDoor, type DimseDoor, type TlsListening } from "./dimse/listener.ts";
import { createSendToPeer, type SendToPeer } from "./dimse/send-to-peer.ts";
import { certificateEnd, clientOptions, type CurrentTls, openTls } from "./dimse/tls.ts";
import { type CheckUser, createUserCheck, parseUsers } from "./dimse/user-identity.ts";
import { ArchiveError } from "./errors.ts";
import { cannotListen } from "./listen-faults.ts";
import type { Log } from "./log.ts";

/**
 * How peers are connected to: with the time limits of the settings unless others are given and, where a peer is reached
 * over TLS, with their key and what they trust.
 * @throws ArchiveError `cannot-listen` when a file for TLS cannot be used
 */
export function connectBy(config: Config, log: Pick<Log, "warn">): Connect {
  const timeouts = timeoutsOf(config);
  const current = tlsBy(config, log);
  return (peer, options) => {
    const tls = peer.tls && { ...clientOptions(current, config.DIMSE_TLS_CHECK_HOST), ...peer.tls };
    return connect({ ...peer, tls }, { ...options, timeouts: { ...timeouts, ...options.timeouts } });
  };
}

/** How this server reaches peers, for both the door and the work in the background: what is bounded is so together. */
export interface Outgoing {
  readonly connect: Connect;
  readonly sendToPeer: SendToPeer;
}

/** Makes it. @throws ArchiveError `cannot-listen` when a file for TLS cannot be used */
export function outgoingBy(config: Config, log: Pick<Log, "warn">): Outgoing {
  const connectToPeer = connectBy(config, log);
  return {
    connect: connectToPeer,
    sendToPeer: createSendToPeer({ connect: connectToPeer, aeTitle: config.DIMSE_AE_TITLE }),
  };
}

/** Undefined when the settings name no file for TLS. */
function tlsBy(config: Config, log: Pick<Log, "warn">): CurrentTls | undefined {
  const { DIMSE_TLS_KEY: key, DIMSE_TLS_CERT: cert, DIMSE_TLS_CA: ca } = config;
  if ((key ?? cert ?? ca) === undefined) return undefined;
  return openTls({
    files: { key, cert, ca },
    onFault: (error) => log.warn({}, `${error.message} The one before stays.`),
  });
}

/** Makes the door; it listens nowhere yet. @throws ArchiveError `cannot-listen` when a file that it needs cannot be used */
export async function makeDimseDoor(
  archive: Archive,
  config: Config,
  log: Log,
  { outgoing, activity }: { readonly outgoing: Outgoing; readonly activity: Activity },
): Promise<DimseDoor> {
  return createDimseDoor({
    archive,
    log,
    aeTitle: config.DIMSE_AE_TITLE,
    admission: await admissionBy(archive, config),
    storesUnknown: config.DIMSE_STORE_UNKNOWN,
    maximumLength: config.DIMSE_MAX_PDU,
    maximumAssociations: config.MAX_ASSOCIATIONS,
    timeouts: timeoutsOf(config),
    ...outgoing,
    beginActivity: () => activity.begin(),
  });
}

function timeoutsOf(config: Config): AssociationTimeouts {
  const { DIMSE_ACSE_TIMEOUT: acse, DIMSE_TIMEOUT: dimse, DIMSE_IDLE_TIMEOUT: idle } = config;
  return { acse: acse * 1000, dimse: dimse * 1000, idle: idle * 1000 };
}

async function admissionBy({ peers }: Archive, config: Config): Promise<Admission> {
  return createAdmission({
    calledAeTitles: [config.DIMSE_AE_TITLE, ...config.DIMSE_CALLED_AE_TITLES],
    rules: config.DIMSE_ACCEPT.flatMap((text) => parseAcceptRule(text) ?? []),
    hostOfPeer: async (aeTitle) => (await peers.findByAeTitle(aeTitle))?.host,
    checkUser: await userCheckBy(config),
  });
}

async function userCheckBy({ DIMSE_USERS_FILE: file, DIMSE_USER_REQUIRED: isRequired }: Config) {
  if (file === undefined) return undefined;
  const readUsers = () => readFile(file, "utf8");
  try {
    parseUsers(await readUsers());
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? `the system says ${String(cause.code)}` : String(cause);
    const sentence = `The file of DIMSE_USERS_FILE cannot be used: ${reason.replace(/^Error: /, "")}.`;
    throw new ArchiveError("cannot-listen", sentence, { cause });
  }
  const checkUser: CheckUser = createUserCheck({ readUsers, isRequired });
  return checkUser;
}

/** Ports on which the DIMSE door listens. */
export interface DimsePorts {
  /** Without TLS; undefined when that is switched off. */
  readonly plain: number | undefined;
  /** Over TLS; undefined when it has no port. */
  readonly tls: number | undefined;
}

/** In milliseconds. */
const monthOfNotice = 31 * 24 * 3600_000;

/** Lets the door listen where the settings say. @throws ArchiveError `cannot-listen` */
export async function listenForDimse(door: DimseDoor, config: Config, log: Log): Promise<DimsePorts> {
  const { DIMSE_HOST: host, DIMSE_TLS_PORT: tlsPort, DIMSE_TLS_CLIENT_CERT: clientCertificates } = config;
  const current = tlsBy(config, log);
  const end = current && certificateEnd(current);
  if (end && end.getTime() < Date.now() + monthOfNotice) {
    log.warn({ end }, "the certificate of DIMSE_TLS_CERT ends within a month, or has ended: make another in time");
  }
  const listen = async (port: number, tls?: TlsListening) => {
    const bound = await door.listen(host, port, tls).catch((cause: unknown) => {
      throw cannotListen(host, port, cause);
    });
    const over = tls ? "over TLS " : "";
    log.info({ host, port: bound, aeTitle: config.DIMSE_AE_TITLE }, `listening for DIMSE ${over}on port ${bound}`);
    return bound;
  };
  return {
    plain: config.DIMSE_PLAIN ? await listen(config.DIMSE_PORT) : undefined,
    tls: tlsPort !== undefined && current ? await listen(tlsPort, { current, clientCertificates }) : undefined,
  };
}
