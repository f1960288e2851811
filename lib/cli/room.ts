/** How much may be said. */
export interface Room {
  /** undefined: as much as needed */
  readonly columns: number | undefined
  /** all of what Nix or the switch printed, not only the end */
  readonly verbose: boolean
}
