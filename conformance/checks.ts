/** Every check by its name, put together from checks/. */
import type { Checks } from "./check.ts";
import { robustChecks } from "./checks/robust.ts";
import { searchMatchChecks } from "./checks/search-match.ts";
import { storeChecks } from "./checks/store.ts";

/** All of them. A name stands in one file only: tests/unit/conformance.test.ts holds it to that. */
export const checkFiles: readonly Checks[] = [storeChecks, searchMatchChecks, robustChecks];

export const allChecks: Checks = Object.assign({}, ...checkFiles);
