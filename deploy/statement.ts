/** Puts the tables of the code into conformance/statement.md: `npm run statement`, after a change of one of them. */
import { readFile, writeFile } from "node:fs/promises";
import { statementTables, withTables } from "./statement-tables.ts";

const file = new URL("../conformance/statement.md", import.meta.url);

await writeFile(file, withTables(await readFile(file, "utf8"), statementTables()));
console.log("conformance/statement.md is what the code says.");
