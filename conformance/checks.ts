/** Every check by its name, put together from checks/. */
import type { Checks } from "./check.ts";
import { pixelChecks } from "./checks/pixels.ts";
import { retrieveChecks } from "./checks/retrieve.ts";
import { robustChecks } from "./checks/robust.ts";
import { searchAnswerChecks } from "./checks/search-answer.ts";
import { searchMatchChecks } from "./checks/search-match.ts";
import { storeChecks } from "./checks/store.ts";

/** The checks by file; a name stands in one file only. */
export const checkFiles: readonly Checks[] = [
  retrieveChecks,
  pixelChecks,
  storeChecks,
  searchMatchChecks,
  searchAnswerChecks,
  robustChecks,
];

export const allChecks: Checks = Object.assign({}, ...checkFiles);
