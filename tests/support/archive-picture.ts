/** Everything that an archive answers, as hashes by address: to be compared before and after something happened to it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Knex } from "knex";
import { z } from "zod";
import { retried } from "../../storage/retry.ts";

const attribute = z.looseObject({ Value: z.array(z.unknown()).optional() });
const dataSets = z.array(z.record(z.string(), attribute));

const tag = { study: "0020000D", series: "0020000E", instance: "00080018", frames: "00280008" } as const;

/** Matches of one search at most. */
const limit = 10_000;

/** SHA-256 of every answer about what the server at `url` holds: searches, metadata, instances and their frames. */
export async function pictureOf(url: string): Promise<ReadonlyMap<string, string>> {
  const picture = new Map<string, string>();
  const root = `${url}/dicom-web`;
  const search = (path: string, status: number, bytes: Buffer): Buffer => {
    if (status !== 200) return Buffer.from("[]");
    const matches = dataSets.parse(JSON.parse(bytes.toString())).map((match) => JSON.stringify(match));
    picture.set(path, createHash("sha256").update(matches.sort().join()).digest("hex"));
    return bytes;
  };
  const look = async (path: string, accept = "application/dicom+json"): Promise<Buffer> => {
    const response = await fetch(`${root}/${path}`, { headers: { Accept: accept } });
    const bytes = Buffer.from(await response.arrayBuffer());
    const isAnswer = [200, 204, 404, 406].includes(response.status);
    assert.ok(isAnswer, `${path}: ${response.status} ${bytes.subarray(0, 300).toString()}`);
    // Of equal dates, which of several comes first is up to the commits that made their rows.
    if (path.includes("?")) return search(path, response.status, bytes);
    // The delimiter of parts is another one each time.
    const boundary = /boundary="?([^";]+)/.exec(response.headers.get("content-type") ?? "")?.[1];
    const text = boundary === undefined ? bytes : bytes.toString("latin1").replaceAll(boundary, "boundary");
    picture.set(path, `${response.status} ${createHash("sha256").update(text).digest("hex")}`);
    return response.status === 200 ? bytes : Buffer.from("[]");
  };
  for (const level of ["patients", "studies", "series", "color-palettes", "hanging-protocols", "implant-templates"]) {
    await look(`${level}?limit=${limit}&includefield=all`);
  }
  const instances = dataSets.parse(JSON.parse((await look(`instances?limit=${limit}&includefield=all`)).toString()));
  for (const instance of instances) {
    const uid = (name: keyof typeof tag) => String(instance[tag[name]]?.Value?.[0]);
    const path = `studies/${uid("study")}/series/${uid("series")}/instances/${uid("instance")}`;
    await look(`${path}/metadata`);
    await look(path, "application/dicom; transfer-syntax=*");
    const frames = Number(instance[tag.frames]?.Value?.[0] ?? 1);
    for (const number of new Set([1, Math.ceil(frames / 2), frames])) {
      await look(`${path}/frames/${number}`, 'multipart/related; type="application/octet-stream"; transfer-syntax=*');
    }
  }
  return picture;
}

/** Tables that say how the catalog itself stands. */
const states = ["archive_state", "change_counter", "query_tag_list", "migrations", "migrations_lock"];

/** The database as it is when it was lost and made anew: no row is left. */
export async function loseEveryRow(knex: Knex): Promise<void> {
  const tables: string[] = await knex("pg_tables")
    .where("schemaname", "public")
    .whereNotIn("tablename", states)
    .pluck("tablename");
  const truncate = `truncate ${tables.map((name) => `"${name}"`).join(", ")} restart identity cascade`;
  // The background work of the server takes the same locks in an order of its own.
  await retried(() => knex.transaction((trx) => trx.raw(truncate)));
  await knex("change_counter").update({ last_sequence: 0, last_forgotten: 0 });
}
