/** `noctis dimse-user`: a line for the file of DIMSE_USERS_FILE, with the passcode as a hash. */
import { text } from "node:stream/consumers";
import { isUserName, userLine } from "../dimse/user-identity.ts";
import type { Command } from "./command.ts";

const usage = `Usage: noctis dimse-user NAME < PASSCODE

Reads a passcode from the standard input and prints a line for the file that DIMSE_USERS_FILE names:

  noctis dimse-user reading-room-3 < passcode.txt >> dimse-users

A line with NAME alone, written by hand, lets that user in without a passcode. A change of the file counts at once.

Exit code: 0 when the line is printed, 2 when the arguments are not understood.`;

/** The subcommand. */
export const dimseUserCommand: Command = {
  name: "dimse-user",
  summary: "make a line of the file of users of DIMSE",
  usage,
  async run([name, ...more]) {
    if (name === undefined || more.length > 0 || !isUserName(name)) {
      console.error(`It needs one name, without colon.\n\n${usage}`);
      return 2;
    }
    const passcode = (await text(process.stdin)).replace(/\r?\n$/, "");
    if (passcode === "") {
      console.error(`There is no passcode on the standard input.\n\n${usage}`);
      return 2;
    }
    console.log(await userLine(name, passcode));
    return 0;
  },
};
