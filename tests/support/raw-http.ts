/** Bytes on a socket as they are, for requests that no HTTP library sends. */
import { connect } from "node:net";

/** What came back. */
export interface RawAnswer {
  /** 0 when the server closed the connection without a word. */
  readonly status: number;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Milliseconds from the connection to the end of it. */
  readonly elapsed: number;
}

/** Sends `chunks` one by one and reads until the server closes the connection, or until `idle` ms without a byte. */
export async function rawRequest(url: string, chunks: readonly (string | Buffer)[], idle = 1500): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const begun = performance.now();
  let last = begun;
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const answer = await new Promise<string>((resolve) => {
    let text = "";
    const done = () => {
      socket.destroy();
      resolve(text);
    };
    socket.setEncoding("latin1").setTimeout(idle, done);
    socket.on("data", (chunk) => {
      text += String(chunk);
      last = performance.now();
    });
    socket.on("end", done).on("error", done);
    for (const chunk of chunks) socket.write(chunk);
  });
  const [head = "", ...body] = answer.split("\r\n\r\n");
  const [line = "", ...fields] = head.split("\r\n");
  const headers = fields.map((field) => {
    const colon = field.indexOf(":");
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const;
  });
  return {
    status: Number(line.split(" ")[1] ?? 0),
    headers: new Map(headers),
    body: body.join("\r\n\r\n"),
    elapsed: last - begun,
  };
}
