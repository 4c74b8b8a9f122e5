/** Command: what one subcommand of `noctis` is to the dispatcher. */

/** A subcommand. `run` gets the arguments after its name and answers with the exit code of the process. */
export interface Command {
  /** The word after `noctis`. */
  readonly name: string;
  /** One line for the list of subcommands. */
  readonly summary: string;
  /** The whole help text of the subcommand, without a final newline. */
  readonly usage: string;
  /**
   * Runs the subcommand. Exit codes: 0 done, 1 something failed and was reported, 2 the arguments were not understood.
   * Never throws for what the user can mend; an exception is a defect.
   */
  run(args: string[]): Promise<number>;
}
