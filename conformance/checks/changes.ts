/** What Noctis has beyond the standard: the feed of changes, and webhooks. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { api, eventually, type Json, jsonOf, listOf, pair, remove } from "../api.ts";
import type { Checks } from "../check.ts";
import { expect, expectEqual, expectStatus } from "../expect.ts";
import { pathsOf, type Session } from "../session.ts";

/** Changes of a study since a number, all pages. */
async function changesOf(session: Session, since: number, studyInstanceUid: string): Promise<Json[]> {
  const all: Json[] = [];
  let next = since;
  for (;;) {
    const page = jsonOf(expectStatus(await api(session, `/changes?since=${next}&limit=100`), 200));
    all.push(...listOf(page["changes"]));
    if (page["more"] !== true) break;
    const last = next;
    next = Number(page["next"]);
    expect(next > last, "The next page of changes does not lie behind the last one.");
  }
  return all.filter((change) => change["studyInstanceUid"] === studyInstanceUid);
}

async function latestChange(session: Session): Promise<number> {
  return Number(jsonOf(expectStatus(await api(session, "/changes?since=latest"), 200))["next"]);
}

export const changeChecks: Checks = {
  "changes-create-and-delete": async (session) => {
    const since = await latestChange(session);
    const instance = await session.stored(session.run.scratch("changes"));
    await remove(session, pathsOf(instance).study);
    const changes = await changesOf(session, since, instance.studyInstanceUid);
    expectEqual(
      changes.map(({ action }) => action),
      ["create", "delete"],
      "The actions",
    );
    expectEqual(changes[0]?.["sopInstanceUid"], instance.sopInstanceUid, "The instance");
  },
  "changes-contiguous": async (session) => {
    const since = await latestChange(session);
    await pair(session, "contiguous");
    const page = jsonOf(expectStatus(await api(session, `/changes?since=${since}&limit=1000`), 200));
    const numbers = listOf(page["changes"]).map((change) => Number(change["sequence"]));
    expect(numbers.length >= 2, "The changes are missing.");
    expectEqual(
      numbers,
      numbers.map((_, index) => since + 1 + index),
      "The numbers",
    );
  },
  "changes-limit": async (session) => {
    const since = await latestChange(session);
    await pair(session, "changes limit");
    const page = jsonOf(expectStatus(await api(session, `/changes?since=${since}&limit=1`), 200));
    expectEqual(listOf(page["changes"]).length, 1, "The number of changes");
    expectEqual(page["more"], true, "Whether there are more");
  },
  "changes-bad-since": async (session) => {
    await latestChange(session);
    expectStatus(await api(session, "/changes?since=yesterday"), 400);
  },
  webhook: async (session) => {
    const received: { headers: http.IncomingHttpHeaders; body: string }[] = [];
    const server = http.createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        received.push({ headers: request.headers, body: Buffer.concat(chunks).toString("utf8") });
        response.writeHead(204).end();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const secret = `conformance-secret-${session.run.token}`;
    let id = "";
    try {
      const made = await api(session, "/webhooks", "POST", { url: `http://127.0.0.1:${port}/hook`, secret });
      id = JSON.stringify(jsonOf(expectStatus(made, 200, 201))["id"]).replaceAll('"', "");
      const instance = await session.stored(session.run.scratch("webhook"));
      const delivery = await eventually(15, "The delivery", async () =>
        received.find(({ body }) => body.includes(instance.sopInstanceUid)),
      );
      const signature = String(delivery.headers["noctis-signature"]);
      const [, time = "", value = ""] = /^t=([^,]+),v1=([0-9a-f]+)$/.exec(signature) ?? [];
      const expected = createHmac("sha256", secret).update(`${time}.${delivery.body}`).digest("hex");
      expectEqual(value, expected, "The signature");
      expect(!delivery.body.includes(session.run.patientId("X")), "The delivery holds the Patient ID.");
    } finally {
      server.closeAllConnections();
      server.close();
      if (id !== "") await api(session, `/webhooks/${id}`, "DELETE");
    }
  },
  "webhook-bad-url": async (session) => {
    expectStatus(await api(session, "/webhooks"), 200);
    expectStatus(await api(session, "/webhooks", "POST", { url: "ftp://example.org/" }), 400);
  },
};
