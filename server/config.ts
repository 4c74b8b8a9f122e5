/** The settings: read from process.env here alone; one schema; every fault is reported together. */
import path from "node:path";
import { z } from "zod";
import { isClockTime } from "./archive/backup-schedule.ts";
import { isKeepRule, keepForm } from "./archive/backup-keep.ts";
import { areDistinct, isAeTitle, isHost, parsePeerAddress, peerAddressForm } from "./archive/peer-address.ts";
import { faultsAcross } from "./config-across.ts";
import { mistypedNames } from "./config-names.ts";
import { acceptRuleForm, parseAcceptRule } from "./dimse/accept-rules.ts";

/** A whole number; one message for whatever it is not. */
function wholeNumber(from: number, to: number) {
  const message = `must be a whole number from ${from} to ${to}`;
  const number = z.number().min(from, message).max(to, message);
  return z.string().trim().regex(/^\d+$/, message).transform(Number).pipe(number);
}

/** One of several words. */
function word<const Words extends readonly [string, string, ...string[]]>(...words: Words) {
  return z.enum(words, `must be ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`);
}

const port = wholeNumber(0, 65_535);
const host = z.string().refine(isHost, "must be an IP address or the name of a host");
const folder = z.string().refine((text) => text.trim() === text, "must neither begin nor end with a blank");
/** What S3 demands of a name. */
const bucket = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be 3 to 63 small letters, digits, dots and hyphens");
const aeTitle = z
  .string()
  .trim()
  .refine(isAeTitle, "must be 1 to 16 letters, digits or signs of ASCII, without backslash");
const level = word("trace", "debug", "info", "warn", "error", "fatal", "silent");

/** A URL without a slash at its end. */
function url(protocols: RegExp, form: string) {
  const isUrl = (text: string) => URL.canParse(text) && protocols.test(new URL(text).protocol);
  return z
    .string()
    .refine(isUrl, `must be of the form ${form}`)
    .transform((text) => text.replace(/\/+$/, ""));
}

const postgres = url(/^postgres(ql)?:$/, "postgresql://user:password@host:port/database");
const web = url(/^https?:$/, "https://host:port");
/** What paths are put behind. */
const publicUrl = web.refine((text) => !/[?#]/.test(text), "must have neither a query nor a fragment");

const flag = word("true", "false").transform((text) => text === "true");

/** Values joined by comma. */
function list(isValue: (text: string) => boolean, message: string) {
  return z
    .string()
    .transform((text) => text.split(",").map((value) => value.trim()))
    .refine((values) => values.every(isValue), message);
}

/** Whether `text` names a place for backups: a folder, or a bucket. */
export function isBackupTarget(text: string): boolean {
  return text !== "" && (!/^[a-z\d]+:\/\//i.test(text) || bucketOf(text) !== undefined);
}

const backupTo = folder.refine(isBackupTarget, "must be a folder or of the form s3://BUCKET");

/** The bucket of `s3://BUCKET`; undefined when the text is none of that form. */
export function bucketOf(target: string): string | undefined {
  const name = /^s3:\/\/([^/]+)\/?$/.exec(target)?.[1];
  return bucket.safeParse(name).data;
}

const clockTimes = list((text) => isClockTime(text), "must be times of day such as 02:30, joined by comma");
const peers = list((text) => parsePeerAddress(text) !== undefined, `${peerAddressForm}, joined by comma`).refine(
  (addresses) => areDistinct(addresses.flatMap((text) => parsePeerAddress(text) ?? [])),
  "must name each peer, and each AE title, once",
);
const keepRule = z.string().refine(isKeepRule, keepForm);

function isOrigin(text: string): boolean {
  return text === "*" || (/^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text);
}

/** Everything that the server says in headers, and that a script cannot read unless it is told so. */
const exposedHeaders = [
  "ETag",
  "Link",
  "Location",
  "Warning",
  "X-Total-Count",
  "Content-Range",
  "Content-Length",
  "Content-Location",
  "Content-Disposition",
  "Accept-Ranges",
  "Retry-After",
  "Allow",
];

const schema = z.object({
  HTTP_HOST: host.default("127.0.0.1").describe("Address to listen on; 0.0.0.0 for every interface."),
  HTTP_PORT: port.default(8080).describe("Port to listen on; 0 for a free one."),
  PUBLIC_URL: publicUrl.optional().describe("Address under which clients reach the server, when a proxy is in front."),
  TRUST_PROXY: flag
    .default(true)
    .describe("Whether Forwarded and X-Forwarded-* headers decide the URLs in answers, unless PUBLIC_URL is set."),
  CORS_ORIGINS: list(isOrigin, "must be * or origins such as https://viewer.example, joined by comma")
    .optional()
    .describe("Origins whose pages may use the server, joined by comma; * for any; unset for none."),
  CORS_EXPOSE_HEADERS: list((name) => /^[\w-]+$/.test(name), "must be names of headers, joined by comma")
    .default(exposedHeaders)
    .describe("Headers of answers that those pages may read."),
  DIMSE_HOST: host
    .default("127.0.0.1")
    .describe("Address on which modalities and other PACS are listened to; 0.0.0.0 for every interface."),
  DIMSE_PLAIN: flag.default(true).describe("Whether connections without TLS are taken, at DIMSE_PORT."),
  DIMSE_PORT: port.default(11_112).describe("Port of DIMSE; 0 for a free one."),
  DIMSE_TLS_PORT: port.optional().describe("Port of DIMSE over TLS, 2762 by custom; 0 for a free one; unset: none."),
  DIMSE_TLS_KEY: folder
    .optional()
    .describe("File of the private key, in PEM; also shown to peers that are reached over TLS."),
  DIMSE_TLS_CERT: folder
    .optional()
    .describe("File of its certificate, in PEM, with those that lead to its root behind it."),
  DIMSE_TLS_CA: folder
    .optional()
    .describe(
      "File of the certificates, in PEM, that are trusted or have signed what is trusted, of clients and of peers.",
    ),
  DIMSE_TLS_CLIENT_CERT: word("required", "optional", "none")
    .default("required")
    .describe(
      "Whether clients have to show a trusted certificate: required, optional (none or a trusted one), or none.",
    ),
  DIMSE_TLS_CHECK_HOST: flag
    .default(true)
    .describe("Whether the certificate of a peer has to name its host, beside being trusted."),
  DIMSE_AE_TITLE: aeTitle.default("NOCTIS").describe("AE title of this application."),
  DIMSE_CALLED_AE_TITLES: list(isAeTitle, "must be * or AE titles, joined by comma")
    .default(["*"])
    .describe("Titles beside DIMSE_AE_TITLE by which it may be called, joined by comma; * for any."),
  DIMSE_ACCEPT: list((text) => parseAcceptRule(text) !== undefined, acceptRuleForm)
    .default(["*"])
    .describe(
      "Who may connect, and for what: rules TITLE@ADDRESS=RIGHTS joined by comma, of which the first that fits counts. See docs/dimse.md.",
    ),
  DIMSE_STORE_UNKNOWN: flag
    .default(true)
    .describe("Whether instances of SOP classes that are not in the standard, such as private ones, are stored."),
  DIMSE_USERS_FILE: folder
    .optional()
    .describe("File of users whose name and passcode are checked (noctis dimse-user); unset: nobody looks at them."),
  DIMSE_USER_REQUIRED: flag.default(false).describe("Whether an association without a user of that file is rejected."),
  DIMSE_MAX_PDU: wholeNumber(4096, 16_777_216)
    .default(131_072)
    .describe("Length of the longest P-DATA-TF PDU that peers are asked to send, in bytes."),
  DIMSE_ACSE_TIMEOUT: wholeNumber(1, 3600)
    .default(30)
    .describe("Seconds for a connection, an association and its release to come about."),
  DIMSE_TIMEOUT: wholeNumber(1, 86_400)
    .default(60)
    .describe("Seconds for a response, and for a message or a PDU that has begun to go on."),
  DIMSE_IDLE_TIMEOUT: wholeNumber(1, 86_400)
    .default(600)
    .describe("Seconds after which an association on which nothing happens is aborted."),
  MAX_ASSOCIATIONS: wholeNumber(1, 10_000)
    .default(64)
    .describe("Associations at a time that others have open to this server; more are rejected for the moment."),
  DIMSE_PEERS: peers
    .default([])
    .describe(
      "DICOM applications to talk to by name, joined by comma: PACS2@pacs2.example:104 or name=AE@host:port, with ?tls behind it for TLS. More by /api/peers.",
    ),
  DATA_DIR: folder
    .default("data")
    .transform((text) => path.resolve(text))
    .describe("Folder of everything that is kept on this machine."),
  MIN_FREE_MB: wholeNumber(0, 1_000_000_000)
    .default(512)
    .describe("Megabytes to keep free on the disks of DATA_DIR: below them nothing is stored (507); 0 for none."),
  DATABASE_URL: postgres.optional().describe("PostgreSQL; unset: one of its own below DATA_DIR."),
  DATABASE_POOL: wholeNumber(2, 500).default(10).describe("Connections to PostgreSQL at most."),
  S3_ENDPOINT: web.optional().describe("Object store (MinIO or any S3); unset: files below DATA_DIR."),
  S3_BUCKET: bucket.default("noctis").describe("Bucket; made when missing."),
  S3_ACCESS_KEY: z.string().optional().describe("Access key of the object store."),
  S3_SECRET_KEY: z.string().optional().describe("Secret key of the object store."),
  S3_REGION: z.string().default("us-east-1").describe("Region of the object store."),
  OBJECT_CACHE_MB: wholeNumber(0, 1_000_000)
    .default(64)
    .describe("MB of memory for objects read from S3; 0 for none. Files are in the memory of the system anyway."),
  S3_TIMEOUT: wholeNumber(1, 600).default(30).describe("Seconds that the object store may be silent in a request."),
  DUPLICATES: word("keep", "replace", "reject")
    .default("keep")
    .describe(
      "When UIDs are stored again with another data set: keep what is there and refuse, replace it, or reject identical ones, too.",
    ),
  REMOVED_KEEP_DAYS: wholeNumber(0, 36_500)
    .default(7)
    .describe("Days that deleted and replaced instances can be restored."),
  RETENTION_EVERY: wholeNumber(1, 10_080)
    .default(60)
    .describe("Minutes from one run of a rule of retention to the next."),
  RETENTION_MAX_PERCENT: wholeNumber(1, 100)
    .default(10)
    .describe(
      "Largest share of all studies, in percent, that retention removes in a run unless a dry run has shown as many.",
    ),
  STORAGE_CAPACITY_GB: wholeNumber(1, 1_000_000_000)
    .optional()
    .describe("Room for instances in GB, for rules by free space; unset: that of the disk, and of S3 none is known."),
  CHANGES_KEEP_DAYS: wholeNumber(1, 36_500)
    .optional()
    .describe("Days that the feed of changes is kept; unset: for ever."),
  BACKUP_TO: backupTo
    .optional()
    .describe("Where backups go: a folder, or s3://BUCKET. noctis backup --to overrides it."),
  BACKUP_AT: clockTimes
    .optional()
    .describe("Times of day, in the time zone of the server, at which it makes a backup; unset: never by itself."),
  BACKUP_KEEP: keepRule.default("7d4w12m").describe("Of how many days, weeks and months the newest backup is kept."),
  BACKUP_S3_ENDPOINT: web.optional().describe("Object store of BACKUP_TO=s3://BUCKET; unset: that of S3_ENDPOINT."),
  BACKUP_S3_ACCESS_KEY: z.string().optional().describe("Its access key; unset: S3_ACCESS_KEY."),
  BACKUP_S3_SECRET_KEY: z.string().optional().describe("Its secret key; unset: S3_SECRET_KEY."),
  BACKUP_S3_REGION: z.string().optional().describe("Its region; unset: S3_REGION."),
  QUARANTINE: flag
    .default(false)
    .describe(
      "Whether files that cannot be stored for what is in them are kept whole, to be looked at and tried again.",
    ),
  QUARANTINE_MAX_MB: wholeNumber(1, 1_000_000_000)
    .default(1024)
    .describe("Megabytes that are kept so; what came longest ago goes first."),
  QUARANTINE_KEEP_DAYS: wholeNumber(1, 36_500).default(30).describe("Days that a file is kept so."),
  VERIFY_EVERY_DAYS: wholeNumber(0, 3650)
    .default(30)
    .describe("Days within which the server reads every object once, in idle time, and checks it; 0: never."),
  VERIFY_ORPHANS: word("report", "remove")
    .default("report")
    .describe(
      "What becomes of objects that no row names and nobody was told of: remove only where nothing but noctis restore puts the database back.",
    ),
  JOBS_KEEP_DAYS: wholeNumber(1, 36_500)
    .default(30)
    .describe("Days that jobs with peers are kept which have ended, with what they did not transfer."),
  LOG_LEVEL: level.default("info").describe("Lowest level that is logged, as JSON lines on stdout."),
  STOP_TIMEOUT: wholeNumber(1, 3600).default(30).describe("Seconds that requests under way get when the server stops."),
});

/** The settings in force. */
export type Config = z.infer<typeof schema>;

/** The settings could not be understood; the message names every fault, a line each. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Reads the settings. A variable that is set to nothing counts as unset. @throws ConfigError */
export function loadConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const set = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(set);
  const across = faultsAcross(set);
  if (parsed.success && across.length === 0) return parsed.data;
  const faults = [
    ...(parsed.error?.issues ?? []).map(({ path: at, message }) => `  ${at.join(".")}: ${message}`),
    ...across.map((fault) => `  ${fault}`),
  ];
  const mistyped = describeMistyped(environment);
  const hint = mistyped === undefined ? "" : `\n${mistyped}`;
  throw new ConfigError(`These settings are not understood:\n${faults.join("\n")}${hint}`);
}

/** One line about variables that are set and look like settings, but are none; undefined when there are none. */
export function describeMistyped(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const set = Object.keys(environment).filter((name) => environment[name] !== undefined && environment[name] !== "");
  const mistyped = mistypedNames(set, Object.keys(schema.shape));
  if (mistyped.length === 0) return undefined;
  const each = mistyped.map(({ name, meant }) => `${name} (did you mean ${meant}?)`);
  return `Set, but no setting, and ignored: ${each.join(", ")}.`;
}

/** One setting for people: name, value in force with secrets masked, meaning. */
export interface ConfigLine {
  readonly name: string;
  readonly value: string;
  readonly description: string;
}

/** Every setting in the order of the schema. */
export function describeConfig(config: Config): ConfigLine[] {
  const values: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>> = config;
  return Object.entries(schema.shape).map(([name, { description = "" }]) => {
    const value = values[name];
    return { name, value: value === undefined ? "(unset)" : masked(name, String(value)), description };
  });
}

function masked(name: string, value: string): string {
  if (/SECRET|PASSWORD/.test(name)) return "********";
  if (!URL.canParse(value)) return value;
  const address = new URL(value);
  const inQuery = address.searchParams.has("password");
  if (address.password === "" && !inQuery) return value;
  if (address.password !== "") address.password = "********";
  if (inQuery) address.searchParams.set("password", "********");
  return address.toString();
}
