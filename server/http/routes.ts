/** THE list of routes: method, path, section of PS3.18, schema of the path, statuses, handler. */
import type { z } from "zod";
import { live, ready } from "./health.ts";
import {
  bulkDataParams,
  frameParams,
  instanceParams,
  noParams,
  parseParams,
  seriesParams,
  studyParams,
  uidsOf,
} from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { retrieveBulkData } from "./retrieve-bulk-data.ts";
import { retrieveFrames } from "./retrieve-frames.ts";
import { retrieveInstances } from "./retrieve-instances.ts";
import { metadataHandler } from "./retrieve-metadata.ts";
import { searchHandler } from "./search.ts";
import { storeInstances } from "./store.ts";

/** One route, its handler behind the check of its path. */
export interface Route {
  readonly method: "GET" | "POST";
  /** Path with the parameters of its schema, as @koa/router writes them. */
  readonly path: string;
  /** Section of PS3.18, or what the route is where that has none. */
  readonly section: string;
  /** Every status that it may answer; another one is a defect. */
  readonly statuses: readonly number[];
  readonly params: z.ZodType;
  readonly handle: (request: Request<unknown>) => Promise<Reply>;
}

/** Where DICOMweb begins. */
export const dicomWebRoot = "/dicom-web";

const study = "/studies/:study";
const series = `${study}/series/:series`;
const instance = `${series}/instances/:instance`;

/** Answered by every route whose handler reaches the archive. */
const anyArchive = [500, 503];
const searched = [200, 400, 406, ...anyArchive];
const retrieved = [200, 400, 404, 406, ...anyArchive];
const stored = [200, 202, 400, 406, 409, 415, 507, ...anyArchive];

const metadata = metadataHandler();

/** The list. */
export const routes: readonly Route[] = [
  route("GET", "/health/live", "health", noParams, [200], live),
  route("GET", "/health/ready", "health", noParams, [200, 507, ...anyArchive], ready),

  web("POST", "/studies", "10.5", noParams, stored, storeInstances),
  web("POST", study, "10.5", studyParams, stored, storeInstances),

  web(
    "GET",
    "/studies",
    "10.6",
    noParams,
    searched,
    searchHandler(() => ({ level: "study" })),
  ),
  web(
    "GET",
    "/series",
    "10.6",
    noParams,
    searched,
    searchHandler(() => ({ level: "series" })),
  ),
  web(
    "GET",
    "/instances",
    "10.6",
    noParams,
    searched,
    searchHandler(() => ({ level: "instance" })),
  ),
  web(
    "GET",
    `${study}/series`,
    "10.6",
    studyParams,
    searched,
    searchHandler((at: z.infer<typeof studyParams>) => ({ level: "series", ...uidsOf(at) })),
  ),
  web(
    "GET",
    `${study}/instances`,
    "10.6",
    studyParams,
    searched,
    searchHandler((at: z.infer<typeof studyParams>) => ({ level: "instance", ...uidsOf(at) })),
  ),
  web(
    "GET",
    `${series}/instances`,
    "10.6",
    seriesParams,
    searched,
    searchHandler((at: z.infer<typeof seriesParams>) => ({ level: "instance", ...uidsOf(at) })),
  ),

  web("GET", study, "10.4.1.1.1", studyParams, retrieved, retrieveInstances),
  web("GET", series, "10.4.1.1.1", seriesParams, retrieved, retrieveInstances),
  web("GET", instance, "10.4.1.1.1", instanceParams, retrieved, retrieveInstances),
  web("GET", `${study}/metadata`, "10.4.1.1.2", studyParams, [304, ...retrieved], metadata),
  web("GET", `${series}/metadata`, "10.4.1.1.2", seriesParams, [304, ...retrieved], metadata),
  web("GET", `${instance}/metadata`, "10.4.1.1.2", instanceParams, [304, ...retrieved], metadata),
  web("GET", `${instance}/frames/:frames`, "10.4.1.1.6", frameParams, retrieved, retrieveFrames),
  web("GET", `${instance}/bulkdata/*path`, "10.4.1.1.5", bulkDataParams, retrieved, retrieveBulkData),
];

function web<Schema extends z.ZodType>(
  method: Route["method"],
  path: string,
  section: string,
  params: Schema,
  statuses: readonly number[],
  handle: (request: Request<z.infer<Schema>>) => Promise<Reply>,
): Route {
  return route(method, `${dicomWebRoot}${path}`, `PS3.18 ${section}`, params, statuses, handle);
}

function route<Schema extends z.ZodType>(
  method: Route["method"],
  path: string,
  section: string,
  params: Schema,
  statuses: readonly number[],
  handle: (request: Request<z.infer<Schema>>) => Promise<Reply>,
): Route {
  const checked = (request: Request<unknown>) => handle({ ...request, params: parseParams(params, request.params) });
  return { method, path, section, statuses, params, handle: checked };
}
