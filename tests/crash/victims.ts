/** Who is killed in a crash test, with everything around: the server, the S3 gateway, PostgreSQL. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startEmbeddedPostgres } from "../../storage/postgres-embedded.ts";
import { startForwarder } from "../support/forwarder.ts";
import { type ServerProcess, startProcess } from "../support/process.ts";
import type { SkipOption } from "../support/require.ts";
import { freshBucket, s3Requirement, startS3 } from "../support/s3.ts";
import { bucketEvidence, folderEvidence, type ObjectEvidence } from "./evidence.ts";

/** A running archive, one part of which can be killed. */
export interface Scene {
  /** The settings of the server. */
  readonly settings: Readonly<Record<string, string>>;
  readonly evidence: ObjectEvidence;
  /** Where the server listens now. */
  readonly url: () => string;
  /** SIGKILL. */
  readonly kill: () => Promise<void>;
  /** Brings back what was killed, or waits until it is. */
  readonly revive: () => Promise<void>;
  /** What the server wrote to stderr, when it has ended though it was not the victim. */
  readonly fault: () => string | undefined;
  /** Ends everything and removes what it kept. */
  readonly stop: () => Promise<void>;
}

export interface Victim {
  /** What it needs that may be absent. */
  readonly requirement: () => SkipOption;
  readonly open: () => Promise<Scene>;
  /** Whether the server stays, so that its clients see refusals and then that it has recovered by itself. */
  readonly serverStays: boolean;
  /** Whether what was killed stays away until it is brought back, so that refusals can be demanded. */
  readonly staysAway: boolean;
}

const nothing = (): SkipOption => ({ skip: false });
const stays = { serverStays: true, staysAway: true } as const;
const restarts = { serverStays: false, staysAway: false } as const;

/** The victims by the name that `--victim` takes. */
export const victims = {
  /** The server on files; the database goes on. */
  server: { requirement: nothing, open: () => openServer("files"), ...restarts },
  /** The server as `npm start` runs it: what is left of its own PostgreSQL is found by the next one. */
  "server-alone": { requirement: nothing, open: openAlone, ...restarts },
  "server-s3": { requirement: s3Requirement, open: () => openServer("s3"), ...restarts },
  /** The gateway of the object store. */
  s3: { requirement: s3Requirement, open: openGateway, ...stays },
  /** The PostgreSQL that the server runs itself, and starts again. */
  postgres: { requirement: nothing, open: openEmbedded, serverStays: true, staysAway: false },
  /** A PostgreSQL of DATABASE_URL. */
  "postgres-url": { requirement: nothing, open: openDatabase, ...stays },
} as const satisfies Record<string, Victim>;

export type VictimName = keyof typeof victims;

/** Everything a scene is made of; ended in the opposite order. */
interface Props {
  readonly folder: string;
  readonly closing: (() => Promise<unknown>)[];
}

async function props(): Promise<Props> {
  const folder = await mkdtemp(path.join(tmpdir(), "noctis-crash-"));
  return { folder, closing: [() => rm(folder, { recursive: true, force: true })] };
}

/** Settings of every server; what is replaced makes objects that wait for their time. */
const always = { DUPLICATES: "replace" } as const;

/** A PostgreSQL apart from the server, as durable as in production. */
async function database({ folder, closing }: Props) {
  const silent = () => undefined;
  const log = { debug: silent, info: silent, warn: silent, error: silent };
  const at = path.join(folder, "database");
  const server = await startEmbeddedPostgres({ folder: at, log });
  closing.push(() => server.stop());
  return { url: server.connectionString, folder: at };
}

async function bucket({ closing }: Props) {
  const s3 = await startS3();
  closing.push(() => s3.stop());
  const name = freshBucket();
  const { endpoint, accessKey, secretKey, region } = s3;
  const named = { S3_ENDPOINT: endpoint, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey, S3_REGION: region };
  return { s3, evidence: bucketEvidence(s3, name), settings: { ...named, S3_BUCKET: name } };
}

/** A server that can be killed and started again. */
async function serve({ closing }: Props, settings: Readonly<Record<string, string>>) {
  const state: { server: ServerProcess; url: string; fault: string | undefined } = {
    server: startProcess(settings),
    url: "",
    fault: undefined,
  };
  const listen = async () => {
    const { server } = state;
    void server.ended.then(({ status, stderr }) => {
      if (status !== "SIGKILL" && status !== 0) state.fault = `${status}: ${stderr}`;
    });
    state.url = await server.listening;
  };
  closing.push(async () => {
    state.server.kill("SIGTERM");
    await state.server.ended;
  });
  await listen();
  return {
    url: () => state.url,
    fault: () => state.fault,
    kill: async () => {
      state.server.kill("SIGKILL");
      await state.server.ended;
    },
    start: async () => {
      state.server = startProcess(settings);
      await listen();
    },
  };
}

function stopping({ closing }: Props): () => Promise<void> {
  return async () => {
    for (let last = closing.pop(); last; last = closing.pop()) await last();
  };
}

/** Opens a scene; what was started is ended when that fails. */
async function staged(stage: (all: Props) => Promise<Omit<Scene, "stop">>): Promise<Scene> {
  const all = await props();
  const stop = stopping(all);
  try {
    return { ...(await stage(all)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function openServer(kind: "files" | "s3"): Promise<Scene> {
  return staged(async (all) => {
    const { url } = await database(all);
    const store = kind === "files" ? filesIn(all) : await bucket(all);
    const settings = { ...always, ...store.settings, DATABASE_URL: url, DATA_DIR: path.join(all.folder, "data") };
    const { start, ...server } = await serve(all, settings);
    return { ...server, settings, evidence: store.evidence, revive: start };
  });
}

function openAlone(): Promise<Scene> {
  return staged(async (all) => {
    const { evidence, settings: own } = filesIn(all);
    const settings = { ...always, ...own };
    const { start, ...server } = await serve(all, settings);
    return { ...server, settings, evidence, revive: start };
  });
}

function openGateway(): Promise<Scene> {
  return staged(async (all) => {
    const { url } = await database(all);
    const { s3, evidence, settings: store } = await bucket(all);
    const settings = { ...always, ...store, DATABASE_URL: url, DATA_DIR: path.join(all.folder, "data") };
    const server = await serve(all, settings);
    const { killGateway, startGateway } = s3;
    if (!killGateway || !startGateway) throw new Error("This S3 server cannot be killed: unset TEST_S3_ENDPOINT.");
    return { url: server.url, fault: server.fault, settings, evidence, kill: killGateway, revive: startGateway };
  });
}

function openEmbedded(): Promise<Scene> {
  return staged(async (all) => {
    const { evidence, settings: own } = filesIn(all);
    const settings = { ...always, ...own };
    const { url, fault } = await serve(all, settings);
    const folder = path.join(settings.DATA_DIR, "postgres");
    let killed = 0;
    const kill = async () => {
      killed = await killPostmaster(folder);
    };
    // Sessions outlive their postmaster for a moment: only another one is the way back.
    const revive = async () => void (await livingPostmaster(folder, killed));
    return { url, fault, settings, evidence, kill, revive };
  });
}

function openDatabase(): Promise<Scene> {
  return staged(async (all) => {
    const { url: direct, folder } = await database(all);
    const target = new URL(direct);
    const port = Number(target.port);
    const forwarder = await startForwarder(port);
    all.closing.push(() => forwarder.close());
    target.port = String(forwarder.port);
    const { evidence, settings: own } = filesIn(all);
    const settings = { ...always, ...own, DATABASE_URL: target.href };
    const { url, fault } = await serve(all, settings);
    const kill = async () => {
      await killPostmaster(folder);
      await forwarder.close();
    };
    return { url, fault, settings, evidence, kill, revive: () => forwarder.open(port) };
  });
}

function filesIn({ folder }: Props) {
  const data = path.join(folder, "data");
  return { settings: { DATA_DIR: data }, evidence: folderEvidence(path.join(data, "objects")) };
}

async function killPostmaster(folder: string): Promise<number> {
  const pid = await livingPostmaster(folder);
  process.kill(pid, "SIGKILL");
  return pid;
}

/** The number of the process that accepts sessions, by postmaster.pid; another one than `but`. */
async function livingPostmaster(folder: string, but = 0): Promise<number> {
  const file = path.join(folder, "cluster", "postmaster.pid");
  for (let attempt = 0; attempt < 1200; attempt += 1) {
    const [pid = "", , , , , , , status = ""] = (await readFile(file, "utf8").catch(() => "")).split("\n");
    if (/^\d+$/.test(pid) && Number(pid) !== but && status.trim() === "ready") return Number(pid);
    await sleep(25);
  }
  throw new Error("PostgreSQL does not run.");
}
