/** Keys of names that rows lack which were written by an older version: found and filled in, some rows at a time. */
import type { Knex } from "knex";
import type { Level } from "./catalog-match.ts";
import type { LevelDocument } from "./catalog-records.ts";
import { databaseError } from "./database-error.ts";

/** A row that has no keys yet. */
export interface RowWithoutNameKeys {
  readonly id: number;
  readonly attributes: LevelDocument;
}

/** Every method throws ArchiveError `database-unavailable`. */
export interface NameKeysCatalog {
  /** Rows of a level without keys, by an index that holds them alone; none when every row has them. */
  missing(level: Level, most: number): Promise<readonly RowWithoutNameKeys[]>;
  /** Writes the keys of rows that have none. */
  write(level: Level, rows: readonly { readonly id: number; readonly keys: readonly string[] }[]): Promise<void>;
}

/** The same over an open pool. */
export function createNameKeysCatalog(knex: Knex): NameKeysCatalog {
  return {
    missing: (level, most) => databaseError(async () => await missing(knex, level, most)),
    write: (level, rows) => databaseError(() => write(knex, level, rows)),
  };
}

function missing(knex: Knex, level: Level, most: number) {
  const rows = knex(level).select("id", "attributes").whereNull("name_keys").orderBy("id").limit(most);
  // The attribute of instances that is a name: the index is of the rows that have it.
  return level === "instance" ? rows.whereRaw(String.raw`attributes \? '00700084'`) : rows;
}

async function write(
  knex: Knex,
  level: Level,
  rows: readonly { readonly id: number; readonly keys: readonly string[] }[],
): Promise<void> {
  await knex.raw(
    `update ?? as row set name_keys = array(select jsonb_array_elements_text(filled.keys))
     from jsonb_to_recordset(?::jsonb) as filled (id bigint, keys jsonb)
     where row.id = filled.id and row.name_keys is null`,
    [level, JSON.stringify(rows)],
  );
}
