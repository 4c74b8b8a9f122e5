/** Sends data sets by C-STORE for tests, byte for byte, over associations of our own. */
import assert from "node:assert/strict";
import type { AcceptedContext, Association } from "../../server/dimse/association.ts";
import { type Command, commandFields } from "../../server/dimse/command.ts";
import { connect } from "../../server/dimse/connect.ts";
import type { TestServer } from "./server.ts";

/** What is sent; UIDs go into the command. */
export interface SentInstance {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string | undefined;
  readonly dataSet: Buffer | AsyncIterable<Buffer> | undefined;
}

/** What is associated. */
export interface StoreProposal {
  readonly callingAeTitle?: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
}

/** An association with one context, which the server has to accept. */
export async function storeAssociation(
  { dimsePort }: Pick<TestServer, "dimsePort">,
  { callingAeTitle = "MODALITY", sopClassUid, transferSyntaxUid }: StoreProposal,
): Promise<{ readonly association: Association; readonly context: AcceptedContext }> {
  const association = await connect(
    { aeTitle: "NOCTIS", host: "127.0.0.1", port: dimsePort },
    { callingAeTitle, contexts: [{ abstractSyntaxUid: sopClassUid, transferSyntaxUids: [transferSyntaxUid] }] },
  );
  const [context] = association.contexts.values();
  assert.ok(context, "the context is accepted");
  return { association, context };
}

/** Sends one and gives the command set of the response. */
export async function sendInstance(
  { association, context }: { readonly association: Association; readonly context: AcceptedContext },
  { sopClassUid, sopInstanceUid, dataSet }: SentInstance,
): Promise<Command> {
  const command = {
    commandField: commandFields.cStoreRequest,
    affectedSopClassUid: sopClassUid,
    affectedSopInstanceUid: sopInstanceUid,
    priority: 0,
  };
  const responses: Command[] = [];
  for await (const response of association.invoke({ context, command, dataSet })) responses.push(response.command);
  const [response, ...others] = responses;
  assert.ok(response);
  assert.equal(others.length, 0);
  return response;
}
