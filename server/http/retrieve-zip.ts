/** Instances as one ZIP archive (PS3.18 8.6.1.3), streamed. */
import { z } from "zod";
import type { FileSetEntry } from "../archive/file-set.ts";
import type { ResourceUids } from "../archive/retrieve.ts";
import { ArchiveError } from "../errors.ts";
import { instanceParams, parseParams, seriesParams, studyParams, uidsOf } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";
import { zipOf } from "./zip-writer.ts";

/** Media type of such an archive. */
export const zipMediaType = "application/zip";

/** Most studies, series and instances in one list. */
const mostResources = 10_000;

/** The body that names what the archive of a list holds. */
export const zipRequest = z.strictObject({
  resources: z
    .array(z.string().max(512))
    .min(1)
    .max(mostResources)
    .describe("Paths below the root of DICOMweb, such as studies/1.2.3."),
  dicomdir: z.boolean().default(false).describe("Whether the archive gets a DICOMDIR."),
});

/** The archive of one resource, which a browser saves under its lowest UID. */
export async function zipReply({ archive, query }: Request<unknown>, uids: ResourceUids): Promise<Reply> {
  const files = await archive.fileSet([uids], { dicomdir: query.get("dicomdir") === "true" });
  return reply(files, uids.sopInstanceUid ?? uids.seriesInstanceUid ?? uids.studyInstanceUid);
}

/** POST /api/zip: one archive of a list of studies, series and instances. */
export async function zipOfList(request: Request<object>): Promise<Reply> {
  const { resources, dicomdir } = await readJson(request, zipRequest, 8 * 2 ** 20);
  const files = await request.archive.fileSet(resources.map(uidsOfPath), { dicomdir });
  return reply(files, "dicom");
}

function reply(files: AsyncIterable<FileSetEntry>, name: string): Reply {
  const headers = {
    "Content-Type": zipMediaType,
    "Content-Disposition": `attachment; filename="${name}.zip"`,
    "Cache-Control": "no-store",
    Vary: "Accept",
  };
  return { status: 200, headers, body: zipOf(files) };
}

/** `studies/{study}`, `studies/{study}/series/{series}`, or an instance of that. @throws ArchiveError */
export function uidsOfPath(path: string): ResourceUids {
  const form = /^\/?studies\/([^/]+)(?:\/series\/([^/]+)(?:\/instances\/([^/]+))?)?$/.exec(path);
  if (!form) throw new ArchiveError("invalid-request", "A resource is studies/..., down to an instance at most.");
  const [, study, series, instance] = form;
  if (instance !== undefined) return uidsOf(parseParams(instanceParams, { study, series, instance }));
  return uidsOf(
    series === undefined ? parseParams(studyParams, { study }) : parseParams(seriesParams, { study, series }),
  );
}
