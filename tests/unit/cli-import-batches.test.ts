/** Tests of how the importer groups instances into requests. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { batches, partByRepetition } from "../../server/cli/import-batches.ts";
import type { Instance } from "../../server/cli/import-instance.ts";

function instance(uid: string | undefined, byteLength = 10): Instance {
  return {
    name: `file ${uid}`,
    byteLength,
    identifiers: uid === undefined ? {} : { sopInstanceUid: uid },
    async *open() {
      yield Buffer.alloc(byteLength);
    },
  };
}

function uids(groups: Iterable<readonly Instance[]>): (string | undefined)[][] {
  return [...groups].map((group) => group.map(({ identifiers }) => identifiers.sopInstanceUid));
}

describe("batches of an import", () => {
  it("fills a request up to the number of instances, in order", () => {
    const five = ["1", "2", "3", "4", "5"].map((uid) => instance(uid));
    assert.deepEqual(uids(batches(five, { instances: 2, bytes: 1000 })), [["1", "2"], ["3", "4"], ["5"]]);
  });

  it("fills a request up to the number of bytes", () => {
    const three = [instance("1", 60), instance("2", 40), instance("3", 1)];
    assert.deepEqual(uids(batches(three, { instances: 16, bytes: 100 })), [["1", "2"], ["3"]]);
  });

  it("sends an instance that is larger than the limit alone", () => {
    const three = [instance("1", 10), instance("2", 5000), instance("3", 10)];
    assert.deepEqual(uids(batches(three, { instances: 16, bytes: 100 })), [["1"], ["2"], ["3"]]);
  });

  it("sends an instance without UID alone and does not part the others for it", () => {
    const three = [instance("1"), instance(undefined), instance("3")];
    assert.deepEqual(uids(batches(three, { instances: 16, bytes: 100 })), [[undefined], ["1", "3"]]);
  });

  it("makes no request of nothing", () => {
    assert.deepEqual([...batches([])], []);
  });

  it("sets apart every instance whose UID occurs again, the first included", () => {
    const all = [instance("1"), instance("2"), instance("1"), instance(undefined), instance(undefined)];
    const { once, repeated } = partByRepetition(all);
    assert.deepEqual(uids([once, repeated]), [
      ["2", undefined, undefined],
      ["1", "1"],
    ]);
  });
});
