/** Opens the DIMSE door as the settings say: who may come in, on which address, and how peers are reached. */
import { readFile } from "node:fs/promises";
import type { Activity } from "./activity.ts";
import type { Archive } from "./archive/archive.ts";
import type { Config } from "./config.ts";
import { parseAcceptRule } from "./dimse/accept-rules.ts";
import { type Admission, createAdmission } from "./dimse/admission.ts";
import { type AssociationTimeouts, type Connect, connect } from "./dimse/connect.ts";
import { createDimseDoor, type DimseDoor } from "./dimse/listener.ts";
import { createSendToPeer } from "./dimse/send-to-peer.ts";
import { type CheckUser, createUserCheck, parseUsers } from "./dimse/user-identity.ts";
import { ArchiveError } from "./errors.ts";
import type { Log } from "./log.ts";

/** How this server connects to peers: with the time limits of the settings, unless others are given. */
export function connectBy(config: Config): Connect {
  const timeouts = timeoutsOf(config);
  return (peer, options) => connect(peer, { ...options, timeouts: { ...timeouts, ...options.timeouts } });
}

/** Makes the door; it listens nowhere yet. @throws ArchiveError `cannot-listen` when a file that it needs cannot be used */
export async function makeDimseDoor(
  archive: Archive,
  config: Config,
  log: Log,
  activity: Activity,
): Promise<DimseDoor> {
  const connectToPeer = connectBy(config);
  return createDimseDoor({
    archive,
    log,
    aeTitle: config.DIMSE_AE_TITLE,
    admission: await admissionBy(archive, config),
    storesUnknown: config.DIMSE_STORE_UNKNOWN,
    maximumLength: config.DIMSE_MAX_PDU,
    maximumAssociations: config.MAX_ASSOCIATIONS,
    timeouts: timeoutsOf(config),
    connect: connectToPeer,
    sendToPeer: createSendToPeer({ connect: connectToPeer, aeTitle: config.DIMSE_AE_TITLE }),
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
