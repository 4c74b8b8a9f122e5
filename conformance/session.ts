/** One run against one server: where it is, what was stored there, and the requests that checks make most. */
import type { DimseTarget } from "./dimse/association.ts";
import { expectStatus, Failure, Skipped } from "./expect.ts";
import { attributeOf, dataSetsOf, type JsonDataSet } from "./dicom-json.ts";
import { allInstances, type Fixtures, makeFixtures } from "./fixtures.ts";
import { type Answer, exchange, header, type RequestOptions } from "./http.ts";
import { type Instance, Run } from "./instances.ts";
import { relatedType, writeMultipart } from "./media.ts";

/** Where the server under test is. */
export interface Target {
  /** Base of the DICOMweb service, without a final slash. */
  readonly url: string;
  /** Address of WADO-URI (PS3.18 9). */
  readonly wadoUrl: string;
  /** Base of the server's own interface. */
  readonly apiUrl: string;
  /** Its DIMSE application; without it what is asked of DIMSE is skipped. */
  readonly dimse?: DimseTarget | undefined;
  /** Headers of every request: what a server wants to let the suite in. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Media types of PS3.18 8.7 by short names. */
export const media = {
  json: "application/dicom+json",
  xml: 'multipart/related; type="application/dicom+xml"',
  dicom: 'multipart/related; type="application/dicom"; transfer-syntax=*',
  single: "application/dicom; transfer-syntax=*",
  octets: 'multipart/related; type="application/octet-stream"',
} as const;

/** A query as pairs, so that a name may stand twice; values are escaped. */
export type QueryPairs = Readonly<Record<string, string>>;

export class Session {
  readonly target: Target;
  readonly run: Run;
  readonly fixtures: Fixtures;
  readonly #paths = new Set<string>();
  readonly #programs = new Map<string, Promise<unknown>>();
  readonly #closings: (() => Promise<unknown>)[] = [];
  #faults = new Map<string, string>();

  constructor(target: Target, seed: string) {
    this.target = target;
    this.run = new Run(seed);
    this.fixtures = makeFixtures(this.run);
  }

  /** The DIMSE application under test. Throws Skipped when none was named. */
  get dimse(): DimseTarget {
    if (this.target.dimse) return this.target.dimse;
    throw new Skipped("No DIMSE application was named (--dimse).");
  }

  /** Sends a request below the DICOMweb base. */
  request(path: string, options: RequestOptions = {}): Promise<Answer> {
    return this.requestUrl(this.target.url + path, options);
  }

  /** Sends a request to any address. */
  requestUrl(url: string, options: RequestOptions = {}): Promise<Answer> {
    return exchange(url, { ...options, headers: { ...this.target.headers, ...options.headers } });
  }

  /** GET with an Accept header. */
  get(path: string, accept: string = media.json, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.request(path, { headers: { Accept: accept, ...headers } });
  }

  /** A search as it is answered. */
  search(resource: string, query: QueryPairs = {}, accept: string = media.json): Promise<Answer> {
    const pairs = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return this.get(`${resource}${pairs.length > 0 ? "?" : ""}${pairs.join("&")}`, accept);
  }

  /** The matches of a search that is answered by 200 (or 204, which older editions had for none). */
  async matches(resource: string, query: QueryPairs = {}): Promise<JsonDataSet[]> {
    return dataSetsOf(expectStatus(await this.search(resource, query), 200, 204));
  }

  /** Stores instances by one multipart request; what is stored is removed at the end of the run. */
  store(instances: readonly Instance[], accept: string = media.json, path = "/studies"): Promise<Answer> {
    const parts = instances.map(({ file }) => ({ type: "application/dicom", body: file }));
    return this.storeBody(path, relatedType("application/dicom"), writeMultipart(parts), instances, accept);
  }

  /** Stores a body of any kind, which holds `instances`. */
  storeBody(
    path: string,
    contentType: string,
    body: Buffer | string,
    instances: readonly Instance[],
    accept: string = media.json,
  ): Promise<Answer> {
    for (const { studyInstanceUid } of instances) this.removeLater(`/studies/${studyInstanceUid}`);
    return this.request(path, { method: "POST", headers: { "Content-Type": contentType, Accept: accept }, body });
  }

  /** Deletes the resource of a path at the end of the run. */
  removeLater(path: string): void {
    this.#paths.add(path);
  }

  /** A scratch instance, stored. Throws Failure when it is not. */
  async stored(instance: Instance): Promise<Instance> {
    expectStatus(await this.store([instance]), 200);
    return instance;
  }

  /** Stores the fixtures, each by itself so that one that is refused costs no other. */
  async prepare(): Promise<void> {
    for (const instance of allInstances(this.fixtures)) {
      const answer = await this.store([instance]);
      if (answer.status !== 200) this.#faults.set(instance.sopInstanceUid, `STOW-RS answered ${answer.status}`);
    }
  }

  /** Names of fixtures that were refused, with the reason. */
  get faults(): readonly string[] {
    return allInstances(this.fixtures).flatMap(({ sopInstanceUid, sopClassUid, transferSyntaxUid }) => {
      const fault = this.#faults.get(sopInstanceUid);
      return fault === undefined ? [] : [`SOP class ${sopClassUid} in ${transferSyntaxUid}: ${fault}`];
    });
  }

  /** A fixture that is stored. Throws Failure when the server refused it. */
  need(instance: Instance | undefined): Instance {
    if (instance === undefined) throw new TypeError("there is no such fixture");
    const fault = this.#faults.get(instance.sopInstanceUid);
    if (fault !== undefined) throw new Failure(`Cannot be checked, since the instance is not stored: ${fault}.`);
    return instance;
  }

  /** Where the server says that a value of an instance is (PS3.18 F.2.6). Throws Failure when it says nothing. */
  async bulkDataUrl(instance: Instance, name: string): Promise<string> {
    const path = `${pathsOf(this.need(instance)).instance}/metadata`;
    const [dataSet] = dataSetsOf(expectStatus(await this.get(path), 200));
    const uri = attributeOf(dataSet, name)?.BulkDataURI;
    if (uri === undefined) throw new Failure(`${name} has no BulkDataURI.`);
    return new URL(uri, this.target.url + path).href;
  }

  /** What several checks use, such as a program that listens: made by the first, ended by `close`. */
  shared<Program>(name: string, start: () => Promise<Program>): Promise<Program>;
  shared(name: string, start: () => Promise<unknown>): Promise<unknown> {
    const known = this.#programs.get(name) ?? start();
    this.#programs.set(name, known);
    return known;
  }

  /** Calls `end` when the run is over. */
  atEnd(end: () => Promise<unknown>): void {
    this.#closings.push(end);
  }

  /** Ends what checks have started, last first. */
  async close(): Promise<void> {
    for (let end = this.#closings.pop(); end; end = this.#closings.pop()) await end();
  }

  /** Removes what the run has stored, where the server deletes; gives the number of resources that stay. */
  async cleanUp(): Promise<number> {
    await this.close();
    let left = 0;
    for (const path of this.#paths) {
      const { status } = await this.request(path, { method: "DELETE" });
      if (status !== 200 && status !== 204 && status !== 404) left += 1;
    }
    return left;
  }
}

/** Paths of the resources of an instance (PS3.18 Table 10.4.1-1). */
export function pathsOf(instance: Instance) {
  const study = `/studies/${instance.studyInstanceUid}`;
  const series = `${study}/series/${instance.seriesInstanceUid}`;
  return { study, series, instance: `${series}/instances/${instance.sopInstanceUid}` };
}

/** Whether a Warning header holds a 299 whose text matches. */
export function warns(answer: Answer, text: RegExp): boolean {
  const warning = header(answer, "warning");
  return warning.startsWith("299") && text.test(warning);
}
