/** Space that objects take, by the rows; and removals of retention that give theirs back early. */
import type { Knex } from "knex";

/** Bytes of all objects that rows name. One look into an index, and at every removed instance. */
export async function bytesStored(knex: Knex): Promise<number> {
  const { rows }: { rows: { bytes: number }[] } = await knex.raw(
    `select (
       (select coalesce(sum(byte_length), 0) from instance)
       + (select coalesce(sum((instance ->> 'byteLength')::bigint), 0) from removed_instance)
       + (select coalesce(sum(byte_length), 0) from non_patient_instance))::bigint as bytes`,
  );
  return rows[0]?.bytes ?? 0;
}

/** How many studies there are. */
export async function countStudies(knex: Knex): Promise<number> {
  const row: { count: number } | undefined = await knex("study").first(knex.raw("count(*) as count"));
  return row?.count ?? 0;
}

/** Removals that retention has made and that can be restored still, the oldest first, with the bytes before each. */
const retained = `
  select removal.id, of_rule.bytes, sum(of_rule.bytes) over (order by removal.id) - of_rule.bytes as before
  from removal join lateral (
    select sum(byte_length) as bytes from retention_removal where removal_id = removal.id
  ) as of_rule on of_rule.bytes is not null
  where kept_until > now()`;

/** Bytes that would come back if what retention removed could not be restored any more. */
export async function bytesRetained(knex: Knex): Promise<number> {
  const { rows }: { rows: { bytes: number }[] } = await knex.raw(
    `select coalesce(sum(bytes), 0)::bigint as bytes from (${retained}) as retained`,
  );
  return rows[0]?.bytes ?? 0;
}

/** Lets the time of the oldest of these removals end, until `bytes` come back by the next sweep. */
export async function expireRetained(knex: Knex, bytes: number): Promise<void> {
  await knex.raw(
    `update removal set kept_until = now()
     where id in (select id from (${retained}) as retained where before < ?::bigint)`,
    [bytes],
  );
}
