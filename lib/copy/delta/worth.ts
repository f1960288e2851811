/** Whether patches take less time than whole paths do. */

/** A share of the bytes that compression alone would leave and patches spare: cautious, where 0.003 to 0.08 of 0.36 remain. */
const spared = 0.25
/** Seconds for the questions before the first patch, and for the programs that one path takes on the host. */
const [toBegin, eachPath] = [0.5, 0.02]
/** Bytes a second that a host reads of its old paths and puts together: a slow disk's. */
const putTogether = 40e6

/** `rate` of the slower line in bytes a second; `bytes` of the NARs that could be told by patches. */
export const isWorthwhile = (rate: number, bytes: number, paths: number): boolean =>
  (spared * bytes) / rate > toBegin + eachPath * paths + bytes / putTogether
