/** The bulk data parts of a store request, and which BulkDataURI means which of them (PS3.18 8.6.1.2.2, 10.5.1). */
import { type DicomJson, isItem } from "../dicom/json.ts";
import type { ByteSource } from "../dicom/part10-writer.ts";

/** One bulk data part, put aside. */
export interface BulkPart {
  /** In lower case, without parameters. */
  readonly mediaType: string;
  /** Parameter `transfer-syntax` of the media type. */
  readonly transferSyntaxUid: string | undefined;
  /** Content-Location; relative to the address of the request. */
  readonly location: string | undefined;
  /** Content-ID, without angle brackets. */
  readonly contentId: string | undefined;
  readonly source: ByteSource;
}

/** Parts that nothing refers to, of which the answer tells. */
const mostToldOf = 8;

/** The parts of one request by what refers to them. */
export class BulkParts {
  readonly #base: string;
  readonly #byName = new Map<string, BulkPart[]>();
  readonly #unused = new Set<BulkPart>();
  #nameless: BulkPart[] = [];

  /** @param base address of the request, which relative references are relative to */
  constructor(base: string) {
    this.#base = base;
  }

  add(part: BulkPart): void {
    this.#unused.add(part);
    const names = new Set<string>();
    if (part.location !== undefined) names.add(this.#absolute(part.location));
    if (part.contentId !== undefined) {
      for (const scheme of ["cid:", "urn:uuid:", ""]) names.add(this.#absolute(scheme + part.contentId));
    }
    if (names.size === 0) this.#nameless.push(part);
    for (const name of names) {
      const parts = this.#byName.get(name);
      if (parts) parts.push(part);
      else this.#byName.set(name, [part]);
    }
  }

  /** The parts that `uri` means, in the order of the body; more than one are frames. Empty when there is none. */
  find(uri: string): readonly BulkPart[] {
    const parts = this.#byName.get(this.#absolute(uri)) ?? [];
    for (const part of parts) this.#unused.delete(part);
    return parts;
  }

  /**
   * Lets the only instance of a request have what nothing names: parts without a name are what its one BulkDataURI
   * without a part means; where it has no such URI, they are its media, as are named parts that it does not name.
   */
  adopt(dataSet: DicomJson): readonly BulkPart[] {
    const uris = new Set(bulkDataUris(dataSet));
    const missing = [...uris].filter((uri) => !this.#byName.has(this.#absolute(uri)));
    const [only] = missing;
    if (missing.length === 1 && only !== undefined && this.#nameless.length > 0) {
      this.#byName.set(this.#absolute(only), this.#nameless);
      this.#nameless = [];
    }
    if (missing.length > 0) return [];
    const named = new Set([...uris].flatMap((uri) => this.#byName.get(this.#absolute(uri)) ?? []));
    return [...this.#unused].filter((part) => !named.has(part));
  }

  /** Says that a part was used without a reference. */
  use(part: BulkPart): void {
    this.#unused.delete(part);
  }

  /** A sentence for each part that no instance refers to; the first of them, since every outcome tells them. */
  leftOver(): string[] {
    return [...this.#unused].slice(0, mostToldOf).map(({ location, contentId, mediaType }) => {
      const name = JSON.stringify((location ?? contentId ?? mediaType).slice(0, 100));
      return `The bulk data part ${name} is named by no instance, and was not kept.`;
    });
  }

  #absolute(uri: string): string {
    return URL.parse(uri.trim(), this.#base)?.href ?? uri;
  }
}

/** Every BulkDataURI of a data set and its items. */
function* bulkDataUris(dataSet: DicomJson): Generator<string> {
  for (const { BulkDataURI: uri, vr, Value: items = [] } of Object.values(dataSet)) {
    if (uri !== undefined) yield uri;
    if (vr !== "SQ") continue;
    for (const item of items) if (isItem(item)) yield* bulkDataUris(item);
  }
}
