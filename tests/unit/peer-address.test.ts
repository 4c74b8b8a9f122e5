/** Addresses of peers are read as people write them, and refused when they are not clear. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parsePeerAddress } from "../../server/archive/peer-address.ts";
import { loadConfig } from "../../server/config.ts";

const none = { kind: "dimse", tls: false } as const;

describe("addresses of peers", () => {
  it("are read", () => {
    const cases: readonly (readonly [text: string, peer: object])[] = [
      ["PACS2@pacs2.example:104", { ...none, name: "PACS2", aeTitle: "PACS2", host: "pacs2.example", port: 104 }],
      [" WS1@10.0.0.7:11112 ", { ...none, name: "WS1", aeTitle: "WS1", host: "10.0.0.7", port: 11112 }],
      ["ws@[::1]:1", { ...none, name: "ws", aeTitle: "ws", host: "::1", port: 1 }],
      ["room-3=MY WS@ws:104", { ...none, name: "room-3", aeTitle: "MY WS", host: "ws", port: 104 }],
      ["A@b:104?tls", { ...none, name: "A", aeTitle: "A", host: "b", port: 104, tls: true }],
      [
        "A@b:104?tls&calling=US 2",
        { ...none, name: "A", aeTitle: "A", host: "b", port: 104, tls: true, callingAeTitle: "US 2" },
      ],
    ];
    for (const [text, peer] of cases) assert.deepEqual(parsePeerAddress(text), peer, text);
  });

  it("are refused", () => {
    const cases = [
      "",
      "PACS2",
      "PACS2@host",
      "PACS2@host:0",
      "PACS2@host:65536",
      "@host:104",
      "A TITLE OF 17 CHR@host:104",
      "n=A TITLE OF 17 CHRS@host:104",
      "MY WS@host:104",
      "n=A\\B@host:104",
      "-n=A@host:104",
      "../n=A@host:104",
      "A@::1:104",
      "A@[host]:104",
      "A@300.1.1.1:104",
      "A@host:104?tsl",
      "A@host:104?calling=",
      "A@host:104/x",
    ];
    for (const text of cases) assert.equal(parsePeerAddress(text), undefined, text);
  });

  it("are a setting", () => {
    const addresses = ["A@host:104", "n=B@host:104?tls"];
    assert.deepEqual(loadConfig({ DIMSE_PEERS: addresses.join(", ") }).DIMSE_PEERS, addresses);
    assert.throws(() => loadConfig({ DIMSE_PEERS: "A@host" }), /DIMSE_PEERS: must be of the form AE@host:port/);
    assert.throws(() => loadConfig({ DIMSE_PEERS: "A@host:104,A@other:104" }), /DIMSE_PEERS: .*once/);
    assert.throws(() => loadConfig({ DIMSE_PEERS: "n=A@host:104,n=B@host:104" }), /DIMSE_PEERS: .*once/);
  });
});
