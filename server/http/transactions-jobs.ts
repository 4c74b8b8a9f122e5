/** Transactions of jobs with peers. None is of the standard. */
import { z } from "zod";
import { failuresAnswer, jobAnswer, jobKind, jobsAnswer, jobState } from "./answers-jobs.ts";
import { queryRequest, retrieveRequest, sendRequest } from "./jobs.ts";
import { pageLimit, position } from "./query-parameters.ts";
import type { QueryParameter, Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";

const jobs: Transaction = {
  ...nothing,
  area: "Jobs",
  section: "jobs",
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};

const wait: QueryParameter = {
  name: "wait",
  meaning: "Seconds to wait for the job to end, 30 at most.",
  schema: z.string().regex(/^([12]?\d|30)$/, "is not a whole number from 0 to 30"),
  example: "10",
};

const asked: Transaction = {
  ...jobs,
  area: "Peers",
  section: "peers",
  query: [wait],
  responseSchema: jobAnswer,
  statuses: [200, 202, 400, 404, 409, ...anyArchive],
};
const askedWithBody = (requestSchema: z.ZodType): Transaction => ({
  ...asked,
  requestTypes: ["application/json"],
  requestSchema,
  statuses: [...asked.statuses, 413, 415],
});

/** What is asked of peers: 202 with the job that does it, 200 when it has ended while the client waits. */
export const peerEchoed = asked;
export const peerQueried = askedWithBody(queryRequest);
export const peerRetrieved = askedWithBody(retrieveRequest);
export const peerSent = askedWithBody(sendRequest);

/** Jobs: how they go. */
export const jobsListed: Transaction = {
  ...jobs,
  query: [
    { name: "limit", meaning: "Jobs to answer at most.", schema: pageLimit, example: "100" },
    { name: "before", meaning: "Only jobs with a lower id: the next of the page before.", schema: position },
    {
      name: "state",
      meaning: "Only jobs in one of these states.",
      schema: z.enum(jobState.options, "is no state of a job"),
      repeatable: true,
      example: "failed",
    },
    {
      name: "kind",
      meaning: "Only jobs of this kind.",
      schema: z.enum(jobKind.options, "is no kind of jobs"),
      example: "send",
    },
    { name: "peer", meaning: "Only jobs with the peer of this name.", schema: z.string().max(64), example: "PACS2" },
    { name: "rule", meaning: "Only jobs of the rule of forwarding of this name.", schema: z.string().max(64) },
  ],
  responseSchema: jobsAnswer,
  statuses: [200, 400, ...anyArchive],
};
export const jobRead: Transaction = {
  ...jobs,
  query: [wait],
  responseSchema: jobAnswer,
  statuses: [200, 400, 404, ...anyArchive],
};
export const failuresListed: Transaction = {
  ...jobRead,
  query: [
    { name: "limit", meaning: "Instances to answer at most.", schema: pageLimit, example: "100" },
    { name: "after", meaning: "Only instances with a higher id: the next of the page before.", schema: position },
  ],
  responseSchema: failuresAnswer,
};
export const jobCancelled: Transaction = { ...jobRead, query: [], statuses: [...jobRead.statuses, 409] };
export const jobRemoved: Transaction = {
  ...jobs,
  responseTypes: [],
  statuses: [204, 400, 404, 409, ...anyArchive],
};
