/** What Noctis has beyond the standard: attributes that are made searchable. */
import { api, eventually, jsonOf } from "../api.ts";
import type { Checks } from "../check.ts";
import { textOf } from "../dicom-json.ts";
import { expectEqual, expectStatus } from "../expect.ts";

export const queryTagChecks: Checks = {
  "query-tag": async (session) => {
    const [first] = session.fixtures.ct;
    session.need(first);
    const made = await api(session, "/query-tags", "POST", [{ path: "WindowWidth", level: "instance" }]);
    expectStatus(made, 202, 409);
    try {
      await eventually(20, "The index", async () => {
        const { status } = jsonOf(expectStatus(await api(session, "/query-tags/00281051"), 200));
        return status === "ready" ? true : undefined;
      });
      const query = { WindowWidth: "800", PatientID: session.run.patientId("A") };
      expectEqual((await session.matches("/instances", query)).length, 3, "The number of matches");
      const other = { ...query, WindowWidth: "801" };
      expectEqual((await session.matches("/instances", other)).length, 0, "The number of matches of another value");
    } finally {
      if (made.status === 202) await api(session, "/query-tags/00281051", "DELETE");
    }
  },
  "query-tag-private": async (session) => {
    const forms = session.need(session.fixtures.forms);
    const privateCreator = "NOCTIS CONFORMANCE";
    const tag = { path: "0009100B", vr: "ST", privateCreator, level: "instance" };
    const made = expectStatus(await api(session, "/query-tags", "POST", [tag]), 202, 409);
    const path = `/query-tags/0009100B?privateCreator=${encodeURIComponent(privateCreator)}`;
    try {
      await eventually(20, "The index", async () => {
        const { status } = jsonOf(expectStatus(await api(session, path), 200));
        return status === "ready" ? true : undefined;
      });
      const query = { "0009100B": "Short*", PatientID: session.run.patientId("E") };
      const found = (await session.matches("/instances", query)).map((match) => textOf(match, "SOPInstanceUID"));
      expectEqual(found, [forms.sopInstanceUid], "What is found");
      const other = { ...query, "0009100B": "Long*" };
      expectEqual((await session.matches("/instances", other)).length, 0, "The number of matches of another value");
    } finally {
      if (made.status === 202) await api(session, path, "DELETE");
    }
  },
  "query-tag-unknown": async (session) => {
    expectStatus(await api(session, "/query-tags"), 200);
    expectStatus(await api(session, "/query-tags", "POST", [{ path: "NoSuchAttribute", level: "study" }]), 400);
  },
  "query-tag-built-in": async (session) => {
    expectStatus(await api(session, "/query-tags"), 200);
    expectStatus(await api(session, "/query-tags", "POST", [{ path: "PatientID", level: "study" }]), 409);
  },
};
