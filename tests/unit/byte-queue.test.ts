/** The queue of chunks: what it gives, and that chunking and skipping never change it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ByteQueue } from "../../server/dicom/byte-queue.ts";
import { repeatable } from "../support/scan.ts";

describe("byte queue", () => {
  it("gives nothing until all that is wanted is there, and says when to try again", () => {
    const queue = new ByteQueue();
    assert.equal(queue.take(4), undefined);
    assert.equal(queue.push(Buffer.from("ab")), false);
    assert.equal(queue.push(Buffer.from("cd")), true);
    assert.equal(queue.take(4)?.toString(), "abcd");
    assert.equal(queue.position, 4);
    assert.equal(queue.buffered, 0);
  });

  it("peeks across chunks without taking", () => {
    const queue = new ByteQueue(100);
    for (const text of ["a", "b", "cd"]) queue.push(Buffer.from(text));
    assert.equal(queue.peek(3)?.toString("latin1", 0, 3), "abc");
    assert.equal(queue.position, 100);
    assert.equal(queue.take(2)?.toString(), "ab");
    assert.equal(queue.drain().toString(), "cd");
    assert.equal(queue.position, 104);
  });

  it("passes over bytes that have not come, without keeping them", () => {
    const queue = new ByteQueue();
    queue.push(Buffer.from("abc"));
    queue.skip(10);
    assert.deepEqual([queue.position, queue.missing, queue.buffered], [3, 7, 0]);
    queue.push(Buffer.alloc(5));
    assert.deepEqual([queue.position, queue.missing, queue.buffered], [8, 2, 0]);
    queue.push(Buffer.from("xxde"));
    assert.deepEqual([queue.position, queue.missing, queue.buffered], [10, 0, 2]);
    assert.equal(queue.take(2)?.toString(), "de");
  });

  it("gives an empty view of an empty queue", () => {
    assert.equal(new ByteQueue().peek(0)?.length, 0);
    assert.equal(new ByteQueue().drain().length, 0);
  });

  it("gives the same bytes for any chunks", () => {
    const random = repeatable(1);
    const source = Buffer.from(Array.from({ length: 5000 }, () => random(256)));
    for (let round = 0; round < 50; round += 1) {
      const queue = new ByteQueue();
      let pushed = 0;
      let at = 0;
      while (at < source.length) {
        const wanted = Math.min(1 + random(300), source.length - at);
        if (random(3) === 0) {
          queue.skip(wanted);
          while (queue.missing > 0) pushed += pushSome();
          at += wanted;
        } else {
          let taken = queue.take(wanted);
          while (!taken) {
            pushed += pushSome();
            taken = queue.take(wanted);
          }
          assert.deepEqual(taken, source.subarray(at, at + wanted));
          at += wanted;
        }
        assert.equal(queue.position, at);
      }
      function pushSome(): number {
        const chunk = source.subarray(pushed, pushed + random(60));
        queue.push(chunk);
        return chunk.length;
      }
    }
  });
});
