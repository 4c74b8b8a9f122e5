/** File sets: instances as files with names, for an archive or a medium, with a DICOMDIR when asked (PS3.10 8). */
import { DicomDirectory } from "../dicom/dicomdir.ts";
import type { DicomJson } from "../dicom/json.ts";
import { isUid } from "../dicom/uid.ts";
import type { ResourceUids, RetrievedInstance, RetrievedInstances, RetrievedMetadata } from "./retrieve.ts";

/** One file of the set. */
export interface FileSetEntry {
  /** Path with slashes. */
  readonly name: string;
  /** Size in bytes. */
  readonly byteLength: number;
  readonly modifiedAt: Date;
  readonly body: AsyncIterable<Buffer>;
}

export interface FileSetOptions {
  /** Names are File IDs (PS3.10 8.2), and a DICOMDIR comes last. */
  readonly dicomdir: boolean;
}

/** What a file set needs of the archive. */
interface Retrieve {
  readonly instances: (uids: ResourceUids) => Promise<RetrievedInstances>;
  readonly metadata: (uids: ResourceUids, urlOf: (path: string) => string) => Promise<RetrievedMetadata>;
}

/** Makes the use case. */
export function createFileSet({ instances, metadata }: Retrieve) {
  /**
   * The files of studies, series and instances, each instance once.
   * @throws ArchiveError `no-such-study`, `no-such-series`, `no-such-instance`, before the first file is given
   */
  return async function fileSet(
    resources: readonly ResourceUids[],
    { dicomdir }: FileSetOptions,
  ): Promise<AsyncIterable<FileSetEntry>> {
    // The list itself is read when it is sent: one of a thousand studies would be held open for hours.
    for (const uids of resources) await instances(uids);
    return dicomdir ? withDirectory(resources) : plain(resources);
  };

  async function* plain(resources: readonly ResourceUids[]): AsyncGenerator<FileSetEntry> {
    for await (const { studyInstanceUid, instance } of each(resources)) {
      const { seriesInstanceUid, sopInstanceUid } = instance;
      yield entry(`${studyInstanceUid}/${seriesInstanceUid}/${sopInstanceUid}.dcm`, instance);
    }
  }

  async function* withDirectory(resources: readonly ResourceUids[]): AsyncGenerator<FileSetEntry> {
    const directory = new DicomDirectory();
    let documents: { readonly of: ResourceUids; readonly find: (uid: string) => Promise<DicomJson> } | undefined;
    for await (const { studyInstanceUid, instance, resource } of each(resources)) {
      if (documents?.of !== resource) documents = { of: resource, find: documentsOf(resource) };
      const document = await documents.find(`${instance.seriesInstanceUid}/${instance.sopInstanceUid}`);
      // The UIDs of the catalog count, also where the data set has them in another form.
      const identified = { ...document, ...identifiers(studyInstanceUid, instance) };
      yield entry(directory.add(identified, instance.transferSyntaxUid).join("/"), instance);
    }
    const bytes = directory.encode();
    yield { name: "DICOMDIR", byteLength: bytes.length, modifiedAt: new Date(), body: once(bytes) };
  }

  async function* each(resources: readonly ResourceUids[]) {
    const seen = new Set<string>();
    for (const resource of resources) {
      const { studyInstanceUid } = resource;
      for await (const instance of await instances(resource)) {
        const key = `${studyInstanceUid}/${instance.seriesInstanceUid}/${instance.sopInstanceUid}`;
        // One resource is not left and entered again: only among several can an instance come twice.
        if (resources.length > 1 && seen.has(key)) continue;
        if (resources.length > 1) seen.add(key);
        yield { studyInstanceUid, instance, resource };
      }
    }
  }

  /** Finds metadata by `series/instance`. It comes in the order of the instances: little is held. */
  function documentsOf(resource: ResourceUids): (key: string) => Promise<DicomJson> {
    const waiting = new Map<string, DicomJson>();
    let iterator: AsyncIterator<string> | undefined;
    return async (key) => {
      iterator ??= (await metadata(resource, (path) => path)).documents()[Symbol.asyncIterator]();
      while (!waiting.has(key)) {
        const next = await iterator.next();
        if (next.done === true) break;
        const document: DicomJson = JSON.parse(next.value);
        waiting.set(`${text(document, "0020000E")}/${text(document, "00080018")}`, document);
      }
      const found = waiting.get(key) ?? {};
      waiting.delete(key);
      return found;
    };
  }
}

function entry(name: string, { byteLength, storedAt, bytes }: RetrievedInstance): FileSetEntry {
  return { name, byteLength, modifiedAt: storedAt, body: bytes() };
}

function identifiers(studyInstanceUid: string, { seriesInstanceUid, sopInstanceUid }: RetrievedInstance): DicomJson {
  return {
    "0020000D": { vr: "UI", Value: [studyInstanceUid] },
    "0020000E": { vr: "UI", Value: [seriesInstanceUid] },
    "00080018": { vr: "UI", Value: [sopInstanceUid] },
  };
}

function text(document: DicomJson, tag: string): string {
  const value = document[tag]?.Value?.[0];
  return typeof value === "string" && isUid(value) ? value : "";
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
