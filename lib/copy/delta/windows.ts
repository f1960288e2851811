/**
 * A NAR in windows, each with the stretch of the old NAR that it is patched against: what either end holds at a time
 * is bounded, however large a path is.
 */

export interface Window {
  /** bytes of the new NAR, following those of the window before */
  readonly bytes: number
  /** the stretch of the old one, never before that of the window before */
  readonly from: number
  readonly to: number
}

/** Where a file begins in the new NAR, and where the file of that name begins in the old one. */
export type Anchor = readonly [inNew: number, inOld: number]

/** Bytes. The stretch is what lies opposite of the window, and the slack on either side of it. */
export interface Extent {
  readonly window: number
  readonly slack: number
}

const mebibyte = 2 ** 20
export const extent: Extent = { window: 4 * mebibyte, slack: 2 * mebibyte }

export interface Sizes {
  readonly inNew: number
  readonly inOld: number
}

/** `anchors` in the order of the new NAR; with none of them, both are taken to begin alike. */
export function planWindows(sizes: Sizes, anchors: readonly Anchor[], { window, slack }: Extent = extent): Window[] {
  const windows: Window[] = []
  const opposite = follow(anchors)
  let before = { from: 0, to: 0 }
  for (let at = 0; at < sizes.inNew; at += window) {
    const bytes = Math.min(window, sizes.inNew - at)
    const [start, end] = [opposite(at), opposite(at + bytes)]
    const from = Math.max(before.from, Math.min(start - slack, sizes.inOld - 1))
    // Never empty, and never more than is opposite of a window when nothing has moved.
    const wanted = Math.max(before.to, from + 1, end + slack)
    before = { from, to: Math.min(wanted, from + window + 2 * slack, sizes.inOld) }
    windows.push({ bytes, ...before })
  }
  return windows
}

/** For places that only grow. What is new between two files moves nothing: the next one is still to come. */
function follow(anchors: readonly Anchor[]): (place: number) => number {
  let next = 0
  let moved = 0
  return (place) => {
    for (let anchor = anchors[next]; anchor && anchor[0] <= place; anchor = anchors[++next])
      moved = anchor[1] - anchor[0]
    return Math.min(place + moved, anchors[next]?.[1] ?? Number.POSITIVE_INFINITY)
  }
}

/** What is done with the old NAR, which is read once and in order, before a window is patched. */
export interface Step {
  /** bytes of the new NAR in this window */
  readonly bytes: number
  /** bytes to forget of the beginning of what is held */
  readonly drop: number
  /** bytes of the old NAR to pass over */
  readonly skip: number
  /** bytes of the old NAR to hold from now on */
  readonly add: number
}

/** For whoever begins to read the old NAR with the first of these windows. */
export function stepsOf(windows: readonly Window[]): Step[] {
  let held = { from: 0, to: 0 }
  return windows.map(({ bytes, from, to }) => {
    const kept = Math.max(held.to, from)
    const step = { bytes, drop: Math.min(from, held.to) - held.from, skip: kept - held.to, add: to - kept }
    held = { from, to }
    return step
  })
}
