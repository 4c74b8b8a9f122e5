/** Requests under way: a peer has its time for a response, and that begins when the whole request has been sent. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { InvokedRequests } from "../../server/dimse/invoked-requests.ts";

/** Milliseconds. */
const limit = 20;

function requests() {
  const { promise: silence, resolve } = Promise.withResolvers<Error>();
  const state = { isSilent: false };
  const invoked = new InvokedRequests(
    limit,
    (error) => {
      state.isSilent = true;
      resolve(error);
    },
    () => undefined,
  );
  return { invoked, silence, state };
}

describe("requests under way", () => {
  it("do not count the time that the sending takes", async () => {
    const { invoked, silence, state } = requests();
    invoked.begin(1);
    await sleep(10 * limit);
    assert.equal(state.isSilent, false);
    invoked.sent(1);
    assert.match((await silence).message, /did not respond/);
  });

  it("are not waited for when an answer came before their end", async () => {
    const { invoked, state } = requests();
    invoked.begin(1);
    const context = {
      id: 1,
      abstractSyntaxUid: "1.2.840.10008.1.1",
      transferSyntaxUid: "1.2.840.10008.1.2",
      mayInvoke: true,
      mayPerform: false,
    };
    const command = { commandField: 0x8001, messageIdBeingRespondedTo: 1, status: 0xa700 };
    assert.equal(invoked.deliver({ context, command, dataSet: undefined }), true);
    invoked.sent(1);
    await sleep(10 * limit);
    assert.equal(state.isSilent, false);
  });
});
