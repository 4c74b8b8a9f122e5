/** Verification (PS3.4 Annex A): C-ECHO. */
import type { Service } from "./association.ts";
import { statuses } from "./status.ts";

/** Answers that this application is there. */
export const echo: Service = ({ respond }) => respond({ status: statuses.success });
