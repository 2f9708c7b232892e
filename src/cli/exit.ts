/** The ends of a command that are no errors of adjudge. */

export const exitCodes = {
  /** `--min-score`, `--max-unscored` and their like are not met. */
  gate: 3,
  /** A budget is reached. */
  budget: 4,
  stopped: 130
}

/** The command ends with this exit code; it has said why itself. */
export class Exit extends Error {
  constructor(readonly exitCode: number) {
    super(`exit code ${exitCode}`)
  }
}
