/** THE list of routes: method, path, schema of its parameters, summary, transaction (transactions.ts), handler. */
import type { z } from "zod";
import type { SearchLevel } from "../archive/attributes.ts";
import { nonPatientCategories, type NonPatientCategory } from "../archive/non-patient-categories.ts";
import { listBackups } from "./backups.ts";
import { capabilitiesHandler } from "./capabilities.ts";
import { readChanges } from "./changes.ts";
import { checkCommitment, requestCommitment } from "./commitment.ts";
import {
  acknowledgeConflict,
  conflictParams,
  getConflict,
  listConflictInstances,
  listConflicts,
  listPatientConflicts,
  reopenConflict,
} from "./conflicts.ts";
import {
  addForwarding,
  forwardingParams,
  getForwarding,
  listForwarding,
  putForwarding,
  removeForwarding,
  retryForwarding,
} from "./forwarding.ts";
import { getIntegrity, listFaults } from "./integrity.ts";
import {
  cancelJob,
  echoPeer,
  getJob,
  jobParams,
  listJobFailures,
  listJobs,
  queryPeer,
  removeJob,
  retrieveFromPeer,
  retryJob,
  sendToPeer,
} from "./jobs.ts";
import { docsHandler } from "./docs-page.ts";
import { live, ready } from "./health.ts";
import { getHold, holdParams, listHolds, placeHold, releaseHold } from "./holds.ts";
import { openApiHandler } from "./openapi.ts";
import {
  nonPatientBulkData,
  nonPatientRemove,
  nonPatientRetrieve,
  nonPatientSearch,
  nonPatientStore,
} from "./non-patient.ts";
import {
  bulkDataParams,
  frameParams,
  instanceParams,
  noParams,
  nonPatientBulkDataParams,
  nonPatientParams,
  type SeriesParams,
  seriesParams,
  type StudyParams,
  studyParams,
  transactionParams,
  uidsOf,
} from "./params.ts";
import { addPeer, getPeer, listPeers, peerParams, putPeer, removePeer } from "./peers.ts";
import {
  getQuarantined,
  getQuarantinedContent,
  listQuarantine,
  purgeQuarantine,
  purgeQuarantined,
  quarantineParams,
  retryQuarantined,
} from "./quarantine.ts";
import {
  addQueryTags,
  getQueryTag,
  listTagErrors,
  listQueryTags,
  queryTagParams,
  removeQueryTag,
} from "./query-tags.ts";
import { listRemovals, purgeRemoval, removalParams, removeResource, restoreRemoval } from "./remove.ts";
import type { Reply, Request } from "./reply.ts";
import { allBulkDataHandler, retrieveBulkData } from "./retrieve-bulk-data.ts";
import {
  addRule,
  changeRule,
  disableRule,
  dryRunRule,
  enableRule,
  getRule,
  listRules,
  listRunRemovals,
  listRuns,
  removeRule,
  ruleParams,
  runParams,
} from "./retention.ts";
import { retrieveRendered, retrieveThumbnail } from "./retrieve-rendered.ts";
import { retrieveFrames } from "./retrieve-frames.ts";
import { zipOfList } from "./retrieve-zip.ts";
import { retrieveInstances } from "./retrieve-instances.ts";
import { metadataHandler } from "./retrieve-metadata.ts";
import { type Method, type Route, route, type Transaction } from "./route.ts";
import { searchHandler } from "./search.ts";
import { storeInstances } from "./store.ts";
import {
  commitmentChecked,
  commitmentRequested,
  described,
  describedOpenly,
  lively,
  nonPatientRemoved,
  nonPatientRetrieved,
  nonPatientSearched,
  nonPatientStored,
  nonPatientValue,
  tagErrorsListed,
  queryTagRead,
  queryTagRemoved,
  queryTagsAdded,
  queryTagsListed,
  readied,
  retrieved,
  retrievedBulkData,
  retrievedFrames,
  retrievedInstance,
  retrievedMetadata,
  searchedAt,
  shown,
  retrievedParts,
  retrievedPixels,
  retrievedRendered,
  retrievedThumbnail,
  retrievedByUri,
  stored,
  zipped,
} from "./transactions.ts";
import {
  conflictAcknowledged,
  conflictInstancesListed,
  conflictRead,
  conflictsListed,
  patientConflictsListed,
  quarantinedContent,
  quarantinedPurged,
  quarantinedRead,
  quarantinedRetried,
  quarantineListed,
  quarantinePurged,
} from "./transactions-admission.ts";
import { backupsListed } from "./transactions-backups.ts";
import {
  changesRead,
  deliveriesListed,
  removalsListed,
  removed,
  restored,
  webhookAdded,
  webhookRead,
  webhookRemoved,
  webhooksListed,
} from "./transactions-changes.ts";
import {
  holdPlaced,
  holdRead,
  holdReleased,
  holdsListed,
  ruleAdded,
  ruleChanged,
  ruleEnabled,
  ruleRead,
  ruleRemoved,
  ruleRunDry,
  rulesListed,
  runRemovalsListed,
  runsListed,
} from "./transactions-retention.ts";
import {
  forwardingAdded,
  forwardingChanged,
  forwardingListed,
  forwardingRead,
  forwardingRemoved,
} from "./transactions-forwarding.ts";
import {
  failuresListed,
  jobCancelled,
  jobRead,
  jobRemoved,
  jobsListed,
  peerEchoed,
  peerQueried,
  peerRetrieved,
  peerSent,
} from "./transactions-jobs.ts";
import { peerAdded, peerRead, peerRemoved, peerReplaced, peersListed } from "./transactions-peers.ts";
import { faultsListed, integrityRead } from "./transactions-integrity.ts";
import { addWebhook, getWebhook, listDeliveries, listWebhooks, removeWebhook, webhookParams } from "./webhooks.ts";
import { wadoUri } from "./wado-uri.ts";

/** Where DICOMweb begins. */
export const dicomWebRoot = "/dicom-web";

const study = "/studies/:study";
const series = `${study}/series/:series`;
const instance = `${series}/instances/:instance`;
const commitment = "/commitment-requests/:transaction";

const webhook = "/api/webhooks/:webhook";
const peer = "/api/peers/:peer";
const job = "/api/jobs/:job";
const forwarding = "/api/forwarding/:rule";
const conflict = "/api/conflicts/:conflict";
const quarantined = "/api/quarantine/:quarantined";
const rules = "/api/retention/rules";
const rule = `${rules}/:rule`;
const runRemovals = "/api/retention/runs/:run/removals";
const tagRoot = "/api/query-tags";

const metadata = metadataHandler();
const bulkData = allBulkDataHandler("all");
const pixelData = allBulkDataHandler("pixel data");

const listed = () => routes;

/** The list. Every address answers OPTIONS, too: with its methods, and below the root with PS3.18 8.9. */
export const routes: readonly Route[] = [
  web("GET", "", noParams, "Retrieve capabilities", described, capabilitiesHandler(listed, dicomWebRoot)),
  route("GET", "/api/openapi.json", noParams, "Describe the API for programs", describedOpenly, openApiHandler(listed)),
  route("GET", "/api/docs", noParams, "Describe the API for people", shown, docsHandler(listed)),

  web("POST", "/studies", noParams, "Store instances", stored, storeInstances),
  web("POST", study, studyParams, "Store instances of one study", stored, storeInstances),

  search("/patients", noParams, "Search for patients", "patient"),
  search("/studies", noParams, "Search for studies", "study"),
  search("/series", noParams, "Search for series", "series"),
  search("/instances", noParams, "Search for instances", "instance"),
  search(`${study}/series`, studyParams, "Search for series of a study", "series"),
  search(`${study}/instances`, studyParams, "Search for instances of a study", "instance"),
  search(`${series}/instances`, seriesParams, "Search for instances of a series", "instance"),

  web("GET", study, studyParams, "Retrieve a study", retrieved, retrieveInstances),
  web("GET", series, seriesParams, "Retrieve a series", retrieved, retrieveInstances),
  web("GET", instance, instanceParams, "Retrieve an instance", retrievedInstance, retrieveInstances),
  web("GET", `${study}/metadata`, studyParams, "Retrieve metadata of a study", retrievedMetadata, metadata),
  web("GET", `${series}/metadata`, seriesParams, "Retrieve metadata of a series", retrievedMetadata, metadata),
  web("GET", `${instance}/metadata`, instanceParams, "Retrieve metadata of an instance", retrievedMetadata, metadata),
  web("GET", `${instance}/frames/:frames`, frameParams, "Retrieve frames", retrievedFrames, retrieveFrames),
  ...[
    { path: study, params: studyParams, what: "a study" },
    { path: series, params: seriesParams, what: "a series" },
    { path: instance, params: instanceParams, what: "an instance" },
    { path: `${instance}/frames/:frames`, params: frameParams, what: "frames" },
  ].flatMap(({ path, params, what }) => [
    web("GET", `${path}/rendered`, params, `Retrieve ${what} rendered`, retrievedRendered, retrieveRendered),
    web("GET", `${path}/thumbnail`, params, `Retrieve a thumbnail of ${what}`, retrievedThumbnail, retrieveThumbnail),
  ]),
  web("GET", `${study}/bulkdata`, studyParams, "Retrieve the values of a study", retrievedParts, bulkData),
  web("GET", `${series}/bulkdata`, seriesParams, "Retrieve the values of a series", retrievedParts, bulkData),
  web("GET", `${instance}/bulkdata`, instanceParams, "Retrieve the values of an instance", retrievedParts, bulkData),
  web("GET", `${study}/pixeldata`, studyParams, "Retrieve the pixels of a study", retrievedPixels, pixelData),
  web("GET", `${series}/pixeldata`, seriesParams, "Retrieve the pixels of a series", retrievedPixels, pixelData),
  web("GET", `${instance}/pixeldata`, instanceParams, "Retrieve the pixels of an instance", retrievedPixels, pixelData),
  web("GET", `${instance}/bulkdata/*path`, bulkDataParams, "Retrieve one value", retrievedBulkData, retrieveBulkData),

  web("DELETE", study, studyParams, "Delete a study", removed, removeResource),
  web("DELETE", series, seriesParams, "Delete a series", removed, removeResource),
  web("DELETE", instance, instanceParams, "Delete an instance", removed, removeResource),
  route("GET", "/api/removed", noParams, "List what was removed and can be restored", removalsListed, listRemovals),
  route("POST", "/api/removed/:removal/restore", removalParams, "Restore what was removed", restored, restoreRemoval),
  route("DELETE", "/api/removed/:removal", removalParams, "Forget what was removed, for good", removed, purgeRemoval),

  route("GET", "/api/conflicts", noParams, "List conflicts of instances with studies", conflictsListed, listConflicts),
  route("GET", conflict, conflictParams, "One conflict", conflictRead, getConflict),
  route(
    "GET",
    `${conflict}/instances`,
    conflictParams,
    "Its instances",
    conflictInstancesListed,
    listConflictInstances,
  ),
  route("POST", `${conflict}/acknowledge`, conflictParams, "Acknowledge it", conflictAcknowledged, acknowledgeConflict),
  route("POST", `${conflict}/reopen`, conflictParams, "Take that back", conflictRead, reopenConflict),
  route("GET", "/api/backups", noParams, "How the backups go", backupsListed, listBackups),

  route("GET", "/api/holds", noParams, "List the holds", holdsListed, listHolds),
  route("POST", "/api/holds", noParams, "Place a hold", holdPlaced, placeHold),
  route("GET", "/api/holds/:hold", holdParams, "One hold", holdRead, getHold),
  route("DELETE", "/api/holds/:hold", holdParams, "Release a hold", holdReleased, releaseHold),

  route(
    "GET",
    "/api/patient-conflicts",
    noParams,
    "List disputed patients",
    patientConflictsListed,
    listPatientConflicts,
  ),
  route("GET", "/api/quarantine", noParams, "List the files in quarantine", quarantineListed, listQuarantine),
  route("DELETE", "/api/quarantine", noParams, "Purge quarantine", quarantinePurged, purgeQuarantine),
  route("GET", quarantined, quarantineParams, "One file in quarantine", quarantinedRead, getQuarantined),
  route("GET", `${quarantined}/content`, quarantineParams, "Its bytes", quarantinedContent, getQuarantinedContent),
  route("POST", `${quarantined}/retry`, quarantineParams, "Store it again", quarantinedRetried, retryQuarantined),
  route("DELETE", quarantined, quarantineParams, "Purge one file", quarantinedPurged, purgeQuarantined),

  route("GET", rules, noParams, "List the rules of retention", rulesListed, listRules),
  route("POST", rules, noParams, "Add a rule of retention", ruleAdded, addRule),
  route("GET", rule, ruleParams, "One rule of retention", ruleRead, getRule),
  route("PUT", rule, ruleParams, "Change a rule of retention", ruleChanged, changeRule),
  route("DELETE", rule, ruleParams, "Remove a rule of retention", ruleRemoved, removeRule),
  route("POST", `${rule}/dry-run`, ruleParams, "What a rule of retention would remove", ruleRunDry, dryRunRule),
  route("POST", `${rule}/enable`, ruleParams, "Enable a rule of retention", ruleEnabled, enableRule),
  route("POST", `${rule}/disable`, ruleParams, "Disable a rule of retention", ruleRead, disableRule),
  route("GET", "/api/retention/runs", noParams, "List the runs of retention", runsListed, listRuns),
  route("GET", runRemovals, runParams, "What a run of retention removed", runRemovalsListed, listRunRemovals),

  route("GET", "/api/changes", noParams, "What happened to instances, in order", changesRead, readChanges),
  route("GET", "/api/webhooks", noParams, "List the webhooks", webhooksListed, listWebhooks),
  route("POST", "/api/webhooks", noParams, "Add a webhook", webhookAdded, addWebhook),
  route("GET", webhook, webhookParams, "One webhook", webhookRead, getWebhook),
  route("DELETE", webhook, webhookParams, "Remove a webhook", webhookRemoved, removeWebhook),
  route("GET", `${webhook}/deliveries`, webhookParams, "Latest deliveries", deliveriesListed, listDeliveries),

  route("GET", "/api/peers", noParams, "List the peers", peersListed, listPeers),
  route("POST", "/api/peers", noParams, "Add a peer", peerAdded, addPeer),
  route("GET", peer, peerParams, "One peer", peerRead, getPeer),
  route("PUT", peer, peerParams, "Replace a peer, or add it", peerReplaced, putPeer),
  route("DELETE", peer, peerParams, "Remove a peer", peerRemoved, removePeer),
  route("POST", `${peer}/echo`, peerParams, "Verify that a peer answers", peerEchoed, echoPeer),
  route("POST", `${peer}/query`, peerParams, "Query a peer", peerQueried, queryPeer),
  route("POST", `${peer}/retrieve`, peerParams, "Retrieve from a peer", peerRetrieved, retrieveFromPeer),
  route("POST", `${peer}/send`, peerParams, "Send to a peer", peerSent, sendToPeer),

  route("GET", "/api/jobs", noParams, "List the jobs with peers", jobsListed, listJobs),
  route("GET", job, jobParams, "One job", jobRead, getJob),
  route("GET", `${job}/failures`, jobParams, "What a job did not transfer", failuresListed, listJobFailures),
  route("POST", `${job}/cancel`, jobParams, "Cancel a job", jobCancelled, cancelJob),
  route("POST", `${job}/retry`, jobParams, "Try a job again", jobCancelled, retryJob),
  route("DELETE", job, jobParams, "Forget a job", jobRemoved, removeJob),

  route("GET", "/api/forwarding", noParams, "List the rules of forwarding", forwardingListed, listForwarding),
  route("POST", "/api/forwarding", noParams, "Add a rule of forwarding", forwardingAdded, addForwarding),
  route("GET", forwarding, forwardingParams, "One rule of forwarding", forwardingRead, getForwarding),
  route("PUT", forwarding, forwardingParams, "Change a rule of forwarding", forwardingChanged, putForwarding),
  route("DELETE", forwarding, forwardingParams, "Remove a rule of forwarding", forwardingRemoved, removeForwarding),
  route("POST", `${forwarding}/retry`, forwardingParams, "Try a rule of forwarding", forwardingRead, retryForwarding),

  ...nonPatientCategories.flatMap(nonPatientRoutes),

  route("GET", "/wado", noParams, "Retrieve an instance by query parameters", retrievedByUri, wadoUri),

  web("POST", commitment, transactionParams, "Request storage commitment", commitmentRequested, requestCommitment),
  web("GET", commitment, transactionParams, "Check for the result of a request", commitmentChecked, checkCommitment),

  route("GET", "/api/integrity", noParams, "Tell of the integrity of the archive", integrityRead, getIntegrity),
  route("GET", "/api/integrity/faults", noParams, "List objects that are not right", faultsListed, listFaults),

  route("GET", tagRoot, noParams, "List the query tags", queryTagsListed, listQueryTags),
  route("POST", tagRoot, noParams, "Make attributes searchable", queryTagsAdded, addQueryTags),
  route("GET", `${tagRoot}/:tag`, queryTagParams, "Tell of a query tag", queryTagRead, getQueryTag),
  route("DELETE", `${tagRoot}/:tag`, queryTagParams, "Remove a query tag", queryTagRemoved, removeQueryTag),
  route("GET", `${tagRoot}/:tag/errors`, queryTagParams, "List what was not indexed", tagErrorsListed, listTagErrors),

  route("POST", "/api/zip", noParams, "One ZIP archive of a list of resources", zipped, zipOfList),

  route("GET", "/health/live", noParams, "Whether the process answers", lively, live),
  route("GET", "/health/ready", noParams, "Whether the archive can store and find", readied, ready),
];

function web<Schema extends z.ZodObject>(
  method: Method,
  path: string,
  params: Schema,
  summary: string,
  transaction: Transaction,
  handle: (request: Request<z.infer<Schema>>) => Promise<Reply>,
): Route {
  return route(method, `${dicomWebRoot}${path}`, params, summary, transaction, handle);
}

function nonPatientRoutes(category: NonPatientCategory): Route[] {
  const all = `/${category}`;
  const one = `${all}/:uid`;
  const store = nonPatientStore(category);
  const retrieve = nonPatientRetrieve(category);
  const value = nonPatientBulkData(category);
  const name = category.replaceAll("-", " ");
  return [
    web("POST", all, noParams, `Store ${name}`, nonPatientStored, store),
    web("POST", one, nonPatientParams, `Store one of the ${name}`, nonPatientStored, store),
    web("GET", all, noParams, `Search for ${name}`, nonPatientSearched, nonPatientSearch(category)),
    web("GET", one, nonPatientParams, `Retrieve one of the ${name}`, nonPatientRetrieved, retrieve),
    web("DELETE", one, nonPatientParams, `Delete one of the ${name}`, nonPatientRemoved, nonPatientRemove(category)),
    web(
      "GET",
      `${one}/bulkdata/*path`,
      nonPatientBulkDataParams,
      `Retrieve a value of ${name}`,
      nonPatientValue,
      value,
    ),
  ];
}

function search(path: string, params: z.ZodObject, summary: string, level: SearchLevel): Route {
  const scopeOf = (at: SeriesParams | StudyParams | object) => ({ level, ...("study" in at && uidsOf(at)) });
  return web("GET", path, params, summary, searchedAt[level], searchHandler(scopeOf));
}
