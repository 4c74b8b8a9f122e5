/** The arguments that `import` and `demo` have in common, checked. */
import { type Config, ConfigError, loadConfig } from "../config.ts";

/** Addresses that mean every interface, and so this machine too. */
const everyInterface = new Set(["0.0.0.0", "::"]);

/** The DICOMweb root of the server that the settings of this environment start. */
export const defaultUrl = urlOfSettings();

function urlOfSettings(): string {
  const { HTTP_HOST: host, HTTP_PORT: port } = settings();
  const name = everyInterface.has(host) ? "127.0.0.1" : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}/dicom-web`;
}

/** Settings that are not understood are the server's to report: the command goes by the defaults. */
function settings(): Config {
  try {
    return loadConfig();
  } catch (error) {
    if (error instanceof ConfigError) return loadConfig({});
    throw error;
  }
}

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
