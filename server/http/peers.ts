/** /api/peers: the DICOM applications that the archive talks to by name. */
import { z } from "zod";
import type { ListedPeer, Peer } from "../archive/peers.ts";
import { isAeTitle, isHost, isPeerName } from "../archive/peer-address.ts";
import { type AnswerOf, jsonReply } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

const name = z
  .string()
  .refine(isPeerName, "is not 1 to 64 letters, digits, dots, hyphens and underscores, beginning with none of .-");

export const peerParams = z.object({
  peer: name.meta({ description: "Name of the peer.", examples: ["PACS2"] }),
});

export type PeerParams = z.infer<typeof peerParams>;

const aeTitle = z
  .string()
  .trim()
  .refine(isAeTitle, "is not 1 to 16 characters of ASCII without backslash and control characters");

/** Headers that HTTP itself needs, or that say what the body is. */
const ownHeaders =
  /^(?:host|connection|keep-alive|content-.*|transfer-encoding|te|trailer|upgrade|expect|accept|accept-.*)$/i;

/** Name and value of a header as HTTP has them (RFC 9110 5.1, 5.5). */
const headers = z
  .record(
    z
      .string()
      .regex(/^[\w!#$%&'*+.^`|~-]{1,128}$/, "is not the name of a header")
      .refine((text) => !ownHeaders.test(text), "is a header that the archive sets itself"),
    z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?$/, "is not the value of a header"),
  )
  .refine((all) => Object.keys(all).length <= 20, "are more than 20");

function isRoot(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && username + password + search + hash === "";
}

const dimse = z.strictObject({
  kind: z.literal("dimse").describe("A peer of DIMSE."),
  aeTitle: aeTitle.describe("Its AE title, which no other peer has."),
  host: z
    .string()
    .max(253)
    .refine(isHost, "is neither an IP address nor the name of a host")
    .describe("Its IP address, or the name of its host."),
  port: z.int().min(1).max(65_535).describe("Its port."),
  tls: z.boolean().default(false).describe("Whether it is reached over TLS."),
  callingAeTitle: aeTitle.optional().describe("AE title by which this archive calls it; absent: that of the settings."),
});

const dicomWeb = z.strictObject({
  kind: z.literal("dicomweb").describe("A DICOMweb server, to which instances are sent by STOW-RS."),
  url: z
    .string()
    .max(2048, "has more than 2048 characters")
    .refine(isRoot, "is not of the form https://host:port/path, without user information and query")
    .transform((text) => text.replace(/\/+$/, ""))
    .describe("Root of its DICOMweb services, below which /studies is."),
  headers: headers.default({}).describe("Headers of every request to it, such as Authorization; never shown again."),
});

/** The body that puts a peer: everything but its name. */
export const peerPut = z.discriminatedUnion("kind", [dimse, dicomWeb], "is neither dimse nor dicomweb");

/** The body that adds a peer. */
export const peerRequest = z.discriminatedUnion(
  "kind",
  [
    dimse.extend({ name: name.optional().describe("Its name, which no other peer has; absent: its AE title.") }),
    dicomWeb.extend({ name: name.describe("Its name, which no other peer has.") }),
  ],
  "is neither dimse nor dicomweb",
);

const common = {
  name: z.string().describe("Its name."),
  source: z.enum(["settings", "api"]).describe("settings: it is one of DIMSE_PEERS, and is changed only there."),
  overruled: z
    .boolean()
    .describe("Whether it is passed over, since a peer of DIMSE_PEERS has its name or its AE title."),
};

/** A peer without secrets. */
export const peerAnswer = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("dimse").describe("A peer of DIMSE."),
    ...common,
    aeTitle: z.string().describe("Its AE title."),
    host: z.string().describe("Its IP address, or the name of its host."),
    port: z.int().describe("Its port."),
    tls: z.boolean().describe("Whether it is reached over TLS."),
    callingAeTitle: z
      .string()
      .optional()
      .describe("AE title by which this archive calls it; absent: that of the settings."),
  }),
  z.strictObject({
    kind: z.literal("dicomweb").describe("A DICOMweb server, to which instances are sent by STOW-RS."),
    ...common,
    url: z.string().describe("Root of its DICOMweb services."),
    headerNames: z.array(z.string()).describe("Names of the headers of every request to it."),
  }),
]) satisfies z.ZodType<ListedPeer>;

/** Every peer. */
export const peersAnswer = z.strictObject({ peers: z.array(peerAnswer).describe("Those of the settings first.") });

/** POST /api/peers */
export async function addPeer(request: Request<object>): Promise<Reply> {
  const wanted = await readJson(request, peerRequest);
  const peer: Peer = wanted.kind === "dicomweb" ? wanted : { ...wanted, name: wanted.name ?? nameOf(wanted.aeTitle) };
  const answer: AnswerOf<typeof peerAnswer> = await request.archive.peers.add(peer);
  return jsonReply(201, answer, { Location: `/api/peers/${peer.name}` });
}

/** A name made of an AE title, whose characters are not all those of a name. */
function nameOf(title: string): string {
  return title.replaceAll(/[^\w.-]/g, "_").replace(/^[.-]/, "_");
}

/** GET /api/peers */
export async function listPeers({ archive }: Request<object>): Promise<Reply> {
  const answer: AnswerOf<typeof peersAnswer> = { peers: await archive.peers.list() };
  return jsonReply(200, answer);
}

/** GET /api/peers/{peer} */
export async function getPeer({ archive, params }: Request<PeerParams>): Promise<Reply> {
  const answer: AnswerOf<typeof peerAnswer> = await archive.peers.show(params.peer);
  return jsonReply(200, answer);
}

/** PUT /api/peers/{peer}: as a whole; headers that are not given again are gone. */
export async function putPeer(request: Request<PeerParams>): Promise<Reply> {
  const body = await readJson(request, peerPut);
  const { peer, isNew } = await request.archive.peers.replace({ ...body, name: request.params.peer });
  const answer: AnswerOf<typeof peerAnswer> = peer;
  return jsonReply(isNew ? 201 : 200, answer);
}

/** DELETE /api/peers/{peer} */
export async function removePeer({ archive, params }: Request<PeerParams>): Promise<Reply> {
  await archive.peers.remove(params.peer);
  return { status: 204 };
}
