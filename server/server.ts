/** A whole server in one process: archive, background work and both doors, started in that order and stopped in the opposite one. */
import { once } from "node:events";
import type { RequestListener } from "node:http";
import { makeAppConfig } from "../ohif-config/app-config.ts";
import { readManifest } from "../ohif-config/build-manifest.ts";
import { viewerBuildFolder } from "../ohif-config/version.ts";
import { Activity } from "./activity.ts";
import type { Archive } from "./archive/archive.ts";
import { type BackgroundTask, startBackground } from "./background.ts";
import type { Config } from "./config.ts";
import { createReportSender } from "./dimse/commitment-report.ts";
import { createWebDoor } from "./http/app.ts";
import { createListener } from "./http/listener.ts";
import { dicomWebRoot } from "./http/routes.ts";
import { createViewer } from "./http/viewer.ts";
import type { Log } from "./log.ts";
import { openArchive } from "./open-archive.ts";
import { cannotListen } from "./listen-faults.ts";
import { listenForDimse, makeDimseDoor, type Outgoing, outgoingBy } from "./open-dimse.ts";
import { createPeerWork } from "./peer-work.ts";

export interface RunningServer {
  /** Where the web door listens. */
  readonly url: string;
  /** Port on which the DIMSE door listens without TLS; undefined when it does not. */
  readonly dimsePort: number | undefined;
  /** Port on which it listens over TLS; undefined when it does not. */
  readonly dimseTlsPort: number | undefined;
  /** Stops accepting, lets requests under way end, then closes what was opened, last first. May be called twice. */
  stop(): Promise<void>;
}

/** What was opened, to be closed in the opposite order. */
type Closing = () => Promise<unknown>;

/** @throws ArchiveError when PostgreSQL, the object store or the port cannot be had: one sentence that says which */
export async function startServer(config: Config, log: Log): Promise<RunningServer> {
  const opened: Closing[] = [];
  const close = async () => {
    for (let last = opened.pop(); last; last = opened.pop()) await last();
  };
  try {
    const doors = await open(config, log, opened);
    let stopping: Promise<void> | undefined;
    return { ...doors, stop: () => (stopping ??= close()) };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(config: Config, log: Log, opened: Closing[]): Promise<Omit<RunningServer, "stop">> {
  const { archive, withLock, close } = await openArchive(config, log);
  opened.push(close);
  if (await archive.integrity.isCatalogLost()) {
    log.error({}, `the database is new, but the object store holds instances: ${lostCatalog}`);
  }
  const shared = { outgoing: outgoingBy(config, log), activity: new Activity() };
  const { activity } = shared;
  const background = startBackground(backgroundTasks(archive, config, log, shared), withLock, log);
  opened.push(() => background.stop(config.STOP_TIMEOUT));
  if (!readManifest(viewerBuildFolder)) log.warn({}, "the viewer is not installed; install it with: npm run viewer");
  const viewer = createViewer({ buildFolder: viewerBuildFolder, appConfig: makeAppConfig({ dicomWebRoot }) });
  const app = createWebDoor({
    archive,
    log,
    viewer,
    baseUrl: { publicUrl: config.PUBLIC_URL, trustProxy: config.TRUST_PROXY },
    cors: config.CORS_ORIGINS && { origins: config.CORS_ORIGINS, exposeHeaders: config.CORS_EXPOSE_HEADERS },
  });
  const handle = app.callback();
  const handleCounted: RequestListener = (request, response) => {
    if (isWork(request.url)) response.once("close", activity.begin());
    void handle(request, response);
  };
  const dimse = await openDimse(archive, config, log, shared, opened);
  return { url: await listen(handleCounted, config, opened), dimsePort: dimse.plain, dimseTlsPort: dimse.tls };
}

/** What doors and background have in common. */
interface Shared {
  readonly outgoing: Outgoing;
  readonly activity: Activity;
}

async function openDimse(archive: Archive, config: Config, log: Log, shared: Shared, opened: Closing[]) {
  const door = await makeDimseDoor(archive, config, log, shared);
  opened.push(() => door.stop(config.STOP_TIMEOUT));
  return listenForDimse(door, config, log);
}

/** What to do about it. */
const lostCatalog = "restore a backup (noctis restore), run noctis reindex, or correct the settings";

/** Whether a request wants images. Health, the viewer's files and the feeds of changes are asked for all the time. */
function isWork(target = ""): boolean {
  return /^\/(dicom-web|wado|api\/zip)\b/.test(target);
}

/** What is done when nobody asks. */
function backgroundTasks(
  archive: Archive,
  config: Config,
  log: Log,
  { outgoing, activity }: Shared,
): readonly BackgroundTask[] {
  const { queryTags } = archive;
  const peerWork = createPeerWork({ archive, ...outgoing, aeTitle: config.DIMSE_AE_TITLE });
  const sendReport = createReportSender(archive.peers, outgoing.connect);
  return [
    { name: "commitments", everySeconds: 30, run: () => archive.finishAbandonedCommitments() },
    // Each peer is told under a lock of its own.
    {
      name: "commitment reports",
      everySeconds: 5,
      unlocked: true,
      run: (signal) => archive.commitmentReports.deliver(sendReport, signal),
    },
    // Goes on until the server stops; each job is leased.
    { name: "jobs", everySeconds: 5, unlocked: true, run: (signal) => archive.jobs.run(signal, peerWork) },
    // Goes on until the server stops; each rule is a row that is locked.
    { name: "forwarding", everySeconds: 5, unlocked: true, run: (signal) => archive.forwarding.run(signal) },
    { name: "ended jobs", everySeconds: 3600, run: (signal) => archive.jobs.forgetOld(signal) },
    // In steps, each under a lock of its own.
    { name: "query-tags", everySeconds: 1, unlocked: true, run: (signal) => queryTags.reindex(signal) },
    { name: "name keys", everySeconds: 600, run: (signal) => archive.fillNameKeys(signal) },
    { name: "sweep", everySeconds: 60, run: async (signal) => void (await archive.sweep(signal)) },
    { name: "leftovers", everySeconds: 3600, run: () => archive.removeLeftovers() },
    { name: "quarantine", everySeconds: 3600, run: () => archive.quarantine.evict() },
    // Goes on until the server stops; each webhook has a lock of its own.
    { name: "webhooks", everySeconds: 5, unlocked: true, run: (signal) => archive.deliverWebhooks(signal) },
    { name: "backup", everySeconds: 30, run: (signal) => makeBackup(archive, log, signal) },
    {
      name: "retention",
      // Looks more often than a rule has its turn, which is a row's business.
      everySeconds: config.RETENTION_EVERY * 15,
      unlocked: true,
      run: async (signal) => void (await archive.retention.run({ signal })),
    },
    // Under a lock of its own, and until all is verified.
    {
      name: "verify",
      everySeconds: 600,
      unlocked: true,
      run: (signal) => archive.integrity.verifyInBackground(signal, (stop) => activity.quiet(stop)),
    },
    { name: "changes", everySeconds: 3600, run: (signal) => archive.forgetOldChanges(signal) },
  ];
}

/** How a backup went is in its row; one that failed is due again after a while, which is no success. */
async function makeBackup({ backups }: Archive, log: Log, signal: AbortSignal): Promise<void> {
  try {
    const report = await backups.makeIfDue(signal);
    if (report) log.info({ snapshot: report.snapshot, objects: report.objects }, "a backup was made");
  } catch (error) {
    if (!signal.aborted) log.error({ err: error }, "a backup failed; it is tried again");
  }
}

async function listen(handle: RequestListener, config: Config, opened: Closing[]): Promise<string> {
  const server = createListener(handle);
  const { HTTP_HOST: host, HTTP_PORT: port } = config;
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw cannotListen(host, port, cause);
  }
  opened.push(async () => {
    const closed = once(server, "close");
    server.close();
    // A connection that is kept alive becomes idle when its last request ends, and would stay.
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    const timer = setTimeout(() => server.closeAllConnections(), config.STOP_TIMEOUT * 1000);
    await closed;
    clearInterval(idle);
    clearTimeout(timer);
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new TypeError("a TCP server has an address and a port");
  return `http://${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`;
}
