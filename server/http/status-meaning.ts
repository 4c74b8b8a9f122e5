/** What the statuses of answers mean, for people. */
import { STATUS_CODES } from "node:http";

const meanings: Readonly<Record<number, string>> = {
  200: "Done; the body is the answer.",
  201: "Made; Location says where it is.",
  202: "Done in part, or begun: the body says what became of each.",
  204: "Done; there is nothing to say.",
  206: "The bytes that Range asked for.",
  303: "What was asked for is at the address in Location.",
  304: "What the client holds is still current.",
  400: "The request is malformed; the problem names the parameter.",
  403: "A page of an origin that CORS_ORIGINS does not list asked for it.",
  404: "There is nothing at this address.",
  406: "None of the representations that Accept names can be given.",
  409: "What was sent contradicts what is stored, or cannot be stored; the body says why.",
  410: "What was here has been removed.",
  412: "The resource is not in the state that a condition of the request asked for.",
  413: "The body is larger than can be taken.",
  415: "The body has a media type or an encoding that cannot be taken.",
  416: "Range lies outside of the bytes.",
  500: "A defect of the server, or bytes that are lost; the log has the cause.",
  503: "The database or the storage does not answer; ask again later.",
  507: "The storage is full.",
};

/** One sentence. */
export function statusMeaning(status: number): string {
  return meanings[status] ?? `${STATUS_CODES[status] ?? "An answer"}.`;
}
