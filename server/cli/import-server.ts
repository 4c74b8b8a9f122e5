/** Runs a command against a server, once it is known that a DICOMweb server is there. */
import { shown } from "./import-arguments.ts";
import { NoDicomWeb } from "./import-probe.ts";
import { ServerGone, StowClient } from "./stow-client.ts";

const nameAnother = "--url http://HOST:PORT/dicom-web";

/** What to tell the user of an error that ends the command; undefined for a defect. */
function explanation(url: URL, error: unknown): string | undefined {
  if (error instanceof ServerGone) {
    return `The server at ${shown(url)} does not answer: ${error.message}. Is it running? Name another one by ${nameAnother}.`;
  }
  if (error instanceof NoDicomWeb) {
    return `Nothing can be stored at ${shown(url)}: ${error.message}. Name the root of a DICOMweb server by ${nameAnother}.`;
  }
  return undefined;
}

/**
 * The exit code of `use`, or 1 and one sentence on stderr when no DICOMweb server answers at `url` or it goes away.
 * `use` is not run before the server has answered.
 */
export async function withServer(
  url: URL,
  connections: number,
  use: (client: StowClient) => Promise<number>,
): Promise<number> {
  const client = new StowClient({ url, connections });
  try {
    await client.probe();
    return await use(client);
  } catch (error) {
    const sentence = explanation(url, error);
    if (sentence === undefined) throw error;
    console.error(sentence);
    return 1;
  } finally {
    client.close();
  }
}
