/** What Noctis has beyond the standard: deletion and restoring. */
import { api, jsonOf, listOf, pair, remove } from "../api.ts";
import type { Check, Checks } from "../check.ts";
import { textOf } from "../dicom-json.ts";
import { expect, expectBytes, expectEqual, expectStatus, soleBody } from "../expect.ts";
import type { Instance } from "../instances.ts";
import { media, pathsOf, type Session } from "../session.ts";

/** Deletes at a level and checks what is gone. */
function deletes(pathOf: (instance: Instance) => string, gone: number): Check {
  return async (session) => {
    const [first, second] = await pair(session, `delete ${gone} ${pathOf.name} ${pathOf(session.fixtures.mr).length}`);
    expectEqual((await remove(session, pathOf(first))).status, 204, "The status");
    expectStatus(await session.get(`${pathsOf(first).instance}/metadata`), 404);
    expectStatus(await session.get(`${pathsOf(second).instance}/metadata`), gone === 2 ? 404 : 200);
    const left = await session.matches("/studies", { StudyInstanceUID: first.studyInstanceUid });
    expectEqual(left.length, gone === 2 ? 0 : 1, "The number of studies that a search finds");
    if (gone === 1) expectEqual(textOf(left[0], "NumberOfStudyRelatedInstances"), "1", "The number of instances left");
  };
}

/** The removal of a study by its number in the list. */
async function removalOf(session: Session, { studyInstanceUid }: Instance): Promise<string> {
  const { removals } = jsonOf(expectStatus(await api(session, "/removed"), 200));
  const found = listOf(removals).find((one) => one["studyInstanceUid"] === studyInstanceUid);
  expect(found !== undefined, "The removal is not in the list.");
  return String(found["id"]);
}

export const removalChecks: Checks = {
  "delete-instance": deletes((instance) => pathsOf(instance).instance, 1),
  "delete-series": deletes((instance) => pathsOf(instance).series, 2),
  "delete-study": deletes((instance) => pathsOf(instance).study, 2),
  "delete-unknown": async (session) => {
    await pair(session, "delete unknown");
    expectStatus(await session.request(`/studies/${session.run.uid("never")}`, { method: "DELETE" }), 404);
  },
  "delete-twice": async (session) => {
    const [first] = await pair(session, "delete twice");
    await remove(session, pathsOf(first).study);
    expectStatus(await session.request(pathsOf(first).study, { method: "DELETE" }), 404);
  },
  "delete-frame-gone": async (session) => {
    const instance = await session.stored(session.run.scratch("delete frame"));
    const frame = `${pathsOf(instance).instance}/frames/1`;
    expectStatus(await session.get(frame, media.octets), 200);
    await remove(session, pathsOf(instance).study);
    expectStatus(await session.get(frame, media.octets), 404);
  },
  "store-after-delete": async (session) => {
    const instance = await session.stored(session.run.scratch("store after delete"));
    await remove(session, pathsOf(instance).study);
    await session.stored(instance);
    expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 200);
  },
  restore: async (session) => {
    const instance = await session.stored(session.run.scratch("restore"));
    await remove(session, pathsOf(instance).study);
    const removal = await removalOf(session, instance);
    expectStatus(await api(session, `/removed/${removal}/restore`, "POST"), 200);
    const answer = expectStatus(await session.get(pathsOf(instance).instance, media.dicom), 200);
    expectBytes(soleBody(answer), instance.file, "The restored file");
  },
  "restore-unknown": async (session) => {
    expectStatus(await api(session, "/removed"), 200);
    expectStatus(await api(session, "/removed/999999999/restore", "POST"), 404);
  },
  purge: async (session) => {
    const instance = await session.stored(session.run.scratch("purge"));
    await remove(session, pathsOf(instance).study);
    const removal = await removalOf(session, instance);
    expectStatus(await api(session, `/removed/${removal}`, "DELETE"), 204);
    expectStatus(await api(session, `/removed/${removal}/restore`, "POST"), 404);
  },
};
