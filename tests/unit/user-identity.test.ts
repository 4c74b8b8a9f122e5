/** User identities against a file of users: who is known, and what is answered. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { UserIdentity } from "../../server/dimse/pdu.ts";
import { createUserCheck, isUserName, parseUsers, userLine } from "../../server/dimse/user-identity.ts";

function identity(type: number, name: string, passcode = "", positiveResponseRequested = false): UserIdentity {
  const [primaryField, secondaryField] = [Buffer.from(name), Buffer.from(passcode)];
  return { type, positiveResponseRequested, primaryField, secondaryField };
}

describe("user identity", () => {
  const readUsers = async () => `# who may\n${await line}\n\nStation 7\n`;
  const line = userLine("Müller", "geheim:1");
  const check = createUserCheck({ readUsers, isRequired: true });
  const lenient = createUserCheck({ readUsers, isRequired: false });

  it("lets in who has the passcode, twice, and answers when that is asked for", async () => {
    assert.deepEqual(await check(identity(2, "Müller", "geheim:1")), { user: "Müller", response: undefined });
    const answered = await check(identity(2, "Müller", "geheim:1", true));
    assert.deepEqual(answered, { user: "Müller", response: Buffer.alloc(0) });
  });

  it("refuses a wrong passcode, none, and a user that is not there, required or not", async () => {
    await check(identity(2, "Müller", "geheim:1"));
    for (const one of [check, lenient]) {
      assert.ok((await one(identity(2, "Müller", "geheim:2"))).why);
      assert.ok((await one(identity(2, "Müller", ""))).why);
      assert.ok((await one(identity(1, "Müller"))).why);
      assert.ok((await one(identity(2, "Meier", "geheim:1"))).why);
      assert.ok((await one(identity(1, ""))).why);
    }
  });

  it("takes the name alone where the file has the name alone", async () => {
    assert.equal((await check(identity(1, "Station 7"))).user, "Station 7");
  });

  it("asks for a user only when told so, and passes over what it cannot check", async () => {
    assert.ok((await check(undefined)).why);
    assert.deepEqual(await lenient(undefined), {});
    for (const type of [0, 3, 4, 5, 6]) {
      assert.ok((await check(identity(type, "ticket", "", true))).why);
      assert.deepEqual(await lenient(identity(type, "ticket", "", true)), {});
    }
  });

  it("names the line of the file that is none of a user", async () => {
    const good = await line;
    assert.deepEqual([...parseUsers(`${good}\r\nB\r\n`).keys()], ["Müller", "B"]);
    for (const bad of [":x", "A:", "A:plain", good.replace("16384", "2"), good.slice(0, -3), `${good}:x`]) {
      assert.throws(() => parseUsers(`# one\n${bad}`), /line 2 /, bad);
    }
    assert.deepEqual(["A B", "a:b", "#a", " a", "a ", ""].map(isUserName), [true, false, false, false, false, false]);
  });
});
