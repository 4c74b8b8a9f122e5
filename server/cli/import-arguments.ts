/** The arguments that `import` and `demo` have in common, checked. */

/** Where a server listens when nothing else is said. */
export const defaultUrl = "http://127.0.0.1:8080/dicom-web";

/** The DICOMweb root as a URL; an Error with a sentence for the user when it is none. */
export function parseServerUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol)) throw new Error(`--url is not an HTTP URL: ${text}`);
  if (url.search !== "" || url.hash !== "") throw new Error("--url must have no query and no fragment.");
  return url;
}

/** A number of connections from 1 to 64; an Error with a sentence for the user when it is none. */
export function parseConnections(text: string): number {
  const connections = Number(text);
  if (/^\d+$/u.test(text) && connections >= 1 && connections <= 64) return connections;
  throw new Error("--connections must be a number from 1 to 64.");
}

/** The sentence of an error. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A URL as it may be shown: without user name and password. */
export function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
