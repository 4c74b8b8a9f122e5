/** Every check by its name, put together from checks/. */
import type { Checks } from "./check.ts";
import { changeChecks } from "./checks/changes.ts";
import { clientChecks } from "./checks/clients.ts";
import { conditionalChecks } from "./checks/conditional.ts";
import { dimseAssociationChecks } from "./checks/dimse-association.ts";
import { dimsePeerChecks } from "./checks/dimse-peers.ts";
import { dimseQueryChecks } from "./checks/dimse-query.ts";
import { dimseRetrieveChecks } from "./checks/dimse-retrieve.ts";
import { dimseStoreChecks } from "./checks/dimse-store.ts";
import { extraChecks } from "./checks/extras.ts";
import { jsonModelChecks } from "./checks/json-model.ts";
import { negotiationChecks } from "./checks/negotiation.ts";
import { pixelChecks } from "./checks/pixels.ts";
import { queryTagChecks } from "./checks/query-tags.ts";
import { removalChecks } from "./checks/removal.ts";
import { renderedChecks } from "./checks/rendered.ts";
import { retrieveChecks } from "./checks/retrieve.ts";
import { robustChecks } from "./checks/robust.ts";
import { searchAnswerChecks } from "./checks/search-answer.ts";
import { searchKeyChecks } from "./checks/search-keys.ts";
import { searchMatchChecks } from "./checks/search-match.ts";
import { searchReturnedChecks } from "./checks/search-returned.ts";
import { serviceChecks } from "./checks/services.ts";
import { storeFormChecks } from "./checks/store-forms.ts";
import { storeChecks } from "./checks/store.ts";
import { wadoUriChecks } from "./checks/wado-uri.ts";

/** The checks by file; a name stands in one file only. */
export const checkFiles: readonly Checks[] = [
  negotiationChecks,
  retrieveChecks,
  pixelChecks,
  renderedChecks,
  conditionalChecks,
  jsonModelChecks,
  wadoUriChecks,
  storeChecks,
  storeFormChecks,
  serviceChecks,
  searchKeyChecks,
  searchMatchChecks,
  searchReturnedChecks,
  searchAnswerChecks,
  robustChecks,
  removalChecks,
  changeChecks,
  queryTagChecks,
  extraChecks,
  clientChecks,
  dimseAssociationChecks,
  dimseStoreChecks,
  dimseQueryChecks,
  dimseRetrieveChecks,
  dimsePeerChecks,
];

export const allChecks: Checks = Object.assign({}, ...checkFiles);
