/** The matrix is whole: every line has a check that can fail, every check a line, every status an expected result. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { before, describe, it } from "node:test";
import { allChecks, checkFiles } from "../../conformance/checks.ts";
import { closeConnections } from "../../conformance/http.ts";
import { type Expected, readExpected, readMatrix, type Requirement } from "../../conformance/matrix.ts";
import { Session } from "../../conformance/session.ts";
import { regressions, runLines } from "../../conformance/suite.ts";

describe("the conformance matrix", () => {
  let matrix: Requirement[];
  let expected: Expected;

  before(async () => {
    matrix = await readMatrix();
    expected = await readExpected();
  });

  it("has one line a requirement, whose section is one of the standard or a resource of Noctis", async () => {
    const file = path.join(import.meta.dirname, "..", "..", "conformance", "matrix.json");
    const lines = (await readFile(file, "utf8")).trim().split("\n");
    assert.equal(lines.length, matrix.length + 2);
    assert.equal(new Set(matrix.map(({ id }) => id)).size, matrix.length);
    for (const { id, section, requirement } of matrix) {
      assert.match(section, /^(PS3\.\d+ [A-Z0-9]+(\.[A-Z0-9]+)*|RFC \d+( [\d.]+)?|Noctis .+)$/, id);
      assert.match(requirement, /^\S.*\.$/, id);
    }
  });

  it("names checks that exist, and every check that exists", () => {
    const named = new Set(matrix.map(({ check }) => check));
    assert.deepEqual([...named].toSorted(), Object.keys(allChecks).toSorted());
    assert.equal(checkFiles.flatMap(Object.keys).length, named.size, "a name stands in two files");
  });

  it("says of Noctis what is expected of it", () => {
    assert.deepEqual(
      Object.keys(expected),
      matrix.map(({ id }) => id),
    );
    for (const { id, status } of matrix) {
      if (expected[id] === "skip") continue;
      if (status === "supported") assert.equal(expected[id], "pass", id);
      if (status === "not-supported") assert.equal(expected[id], "fail", id);
    }
  });

  it("has checks that fail against a server that can do nothing", async (t) => {
    const server = http.createServer((request, response) => {
      request.resume();
      response.writeHead(500, { "Content-Type": "application/dicom+json" }).end("[]");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const dimseServer = net.createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
    await once(dimseServer, "listening");
    const dimseAddress = dimseServer.address();
    const port = typeof dimseAddress === "object" ? (dimseAddress?.port ?? 0) : 0;
    const dimse = { aeTitle: "MUTE", host: "127.0.0.1", port };
    const target = {
      url: `${origin}/dicom-web`,
      wadoUrl: `${origin}/wado`,
      apiUrl: `${origin}/api`,
      dimse,
      headers: {},
    };
    const session = new Session(target, "mute");
    t.after(async () => {
      await session.close();
      closeConnections();
      server.close();
      dimseServer.close();
    });
    const outcomes = await runLines(session, matrix);
    const passed = outcomes.filter(({ result }) => result === "pass");
    assert.deepEqual(
      passed.map(({ line }) => line.id),
      [],
    );
  });

  it("counts as a regression what passed and fails, and nothing else", () => {
    const [line] = matrix;
    assert.ok(line);
    const outcome = (result: "pass" | "fail" | "skip") => [{ line, result, why: "" }];
    assert.equal(regressions(outcome("fail"), { [line.id]: "pass" }).length, 1);
    assert.equal(regressions(outcome("fail"), { [line.id]: "fail" }).length, 0);
    assert.equal(regressions(outcome("skip"), { [line.id]: "pass" }).length, 0);
    assert.equal(regressions(outcome("fail"), {}).length, 0);
  });
});
