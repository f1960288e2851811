/**
 * A closure from one store to another, through this machine: one pass over two connections, nothing on disk, and no
 * more in memory than what is between two pieces of a NAR.
 */
import { formatBytes } from '../format.ts'
import { Problem, partsOf } from '../problem.ts'
import { activities } from './activity.ts'
import { referencesFirst } from './closure.ts'
import type { Nar, NarSink, NarSource, NixEvent, PathInfo, Store } from './store.ts'
import type { StorePath } from './store-path.ts'
import { DaemonLost } from './worker-protocol.ts'

export interface TransferProgress {
  readonly pathsDone: number
  readonly pathsTotal: number
  readonly bytesDone: number
  readonly bytesTotal: number
}

export interface TransferResult {
  /** paths in the closure, as far as it was looked at, and how many of them were sent */
  readonly closurePaths: number
  readonly sentPaths: number
  /** bytes of NARs sent */
  readonly sentBytes: number
}

export interface End {
  readonly store: Store
  /** how a person is told of it: `the host's store` */
  readonly name: string
}

/** What carries NARs from one store to the other. */
export interface Carriers {
  readonly from: NarSource
  readonly to: NarSink
}

/** Told of what happens on the way. */
export interface Moved {
  onSent(bytes: number): void
  onAdded(info: PathInfo): void
  /** what was sent and has not arrived will be sent once more */
  onAgain(): void
}

export interface TransferRequest {
  readonly roots: readonly StorePath[]
  readonly from: End
  readonly to: End
  /** let the receiving store fetch what it can from its own substituters first */
  readonly substitute: boolean
  /** Ask for the roots, then for what the absent ones refer to, and so on: little is said of a closure that is there but for its top. */
  readonly fromAbove?: boolean
  /** Asked before anything is sent; rejects when it is too much. `hasFetched`: the receiving store has fetched some. */
  admit?(bytes: number, hasFetched: boolean): Promise<void>
  /** what carries so many bytes of NARs between the two, when it is not they themselves; closed afterwards */
  openLanes?(bytes: number): Promise<Carriers>
  /**
   * Another way, tried first: gives what it has not brought. It tells of bytes and paths as they go, and of what comes to
   * nothing after all. Rejects only when it was interrupted.
   */
  sendOtherwise?(missing: readonly PathInfo[], moved: Moved): Promise<readonly PathInfo[]>
  /** what to do when the receiving store doesn't trust us and refused a path */
  readonly whenUntrusted: string
  /** called at every sign of life of either store */
  onMove(): void
  onProgress(progress: TransferProgress): void
  readonly signal: AbortSignal
}

/**
 * Sends what the other store lacks of the closure, references first, so that every path that arrived is valid and an
 * interrupted copy goes on where it stopped. Until its connection closes, the receiving store keeps all of it from the
 * garbage collector. Closes both stores when it fails or is aborted.
 */
export async function transfer(request: TransferRequest): Promise<TransferResult> {
  const { from, to, signal } = request
  const stores: Carriers = { from: from.store, to: to.store }
  let lanes: Carriers | undefined
  const closeLanes = () => {
    for (const lane of [lanes?.from, lanes?.to]) if (lane !== stores.from && lane !== stores.to) lane?.close()
  }
  const close = () => {
    stores.from.close()
    stores.to.close()
    closeLanes()
  }
  if (signal.aborted) throw interrupted(signal)
  signal.addEventListener('abort', close, { once: true })
  try {
    return await copy(request, async (bytes) => {
      lanes = await request.openLanes?.(bytes)
      // Neither is left open when somebody gave up meanwhile.
      if (signal.aborted) throw interrupted(signal)
      return lanes ?? stores
    })
  } catch (error) {
    close()
    throw signal.aborted ? interrupted(signal) : error
  } finally {
    signal.removeEventListener('abort', close)
    // The stores themselves are the caller's.
    closeLanes()
  }
}

async function copy(
  request: TransferRequest,
  openLanes: (bytes: number) => Promise<Carriers>,
): Promise<TransferResult> {
  const found = (request.fromAbove && (await absentFromAbove(request))) || (await absentOf(request))
  const { missing, lookedAt, hasFetched } = found
  const sentBytes = totalSize(missing)
  if (missing.length > 0) {
    await request.admit?.(sentBytes, hasFetched)
    const progress = progressOf(request, missing)
    const left = (await request.sendOtherwise?.(missing, progress)) ?? missing
    if (left.length > 0) await send(request, left, progress, await openLanes(totalSize(left)))
  }
  return { closurePaths: lookedAt, sentPaths: missing.length, sentBytes }
}

/** What the receiving store lacks, references first. */
interface Absent {
  readonly missing: readonly PathInfo[]
  readonly lookedAt: number
  /** it has fetched some of it since it was asked */
  readonly hasFetched: boolean
}

/** All of the closure, then all that is valid: a turn for each. */
async function absentOf({ from, to, roots, substitute, onMove }: TransferRequest): Promise<Absent> {
  const closure = await askedSource(from, async (store) => {
    // A root keeps all it refers to.
    await store.addTempRoots(roots)
    return store.queryClosure(roots)
  })
  onMove()
  const paths = closure.map((info) => info.path)
  let hasFetched = false
  const onEvent = (event: NixEvent) => {
    if (event.kind === 'start' && fetching.includes(event.type)) hasFetched = true
    onMove()
  }
  const valid = await validIn(to, paths, { substitute, onEvent, onMove })
  return { missing: closure.filter((info) => !valid.has(info.path)), lookedAt: closure.length, hasFetched }
}

/** Of more absent paths than that, the whole closure is asked for at once: a level more costs as many turns as all of it. */
const manyAbsent = 500

/** Level by level, since a store that has a path has all it refers to. Undefined when it lacks too many. */
async function absentFromAbove({ from, to, roots, onMove }: TransferRequest): Promise<Absent | undefined> {
  const absent = new Map<StorePath, PathInfo>()
  const seen = new Set<StorePath>()
  await askedSource(from, (store) => store.addTempRoots(roots))
  for (let level = [...new Set(roots)]; level.length > 0; ) {
    for (const path of level) seen.add(path)
    const valid = await validIn(to, level, { substitute: false, onMove })
    const lacking = level.filter((path) => !valid.has(path))
    if (lacking.length === 0) break
    if (absent.size + lacking.length > manyAbsent) return undefined
    const infos = await askedSource(from, (store) => store.queryPathInfos(lacking))
    onMove()
    for (const info of infos) absent.set(info.path, info)
    level = [...new Set(infos.flatMap(({ references }) => references))].filter((path) => !seen.has(path))
  }
  return { missing: referencesFirst(absent), lookedAt: seen.size, hasFetched: false }
}

const validIn = (
  to: End,
  paths: readonly StorePath[],
  {
    onMove,
    ...options
  }: { substitute: boolean; onEvent?: (event: NixEvent) => void; onMove: TransferRequest['onMove'] },
) =>
  asked(to, async (store) => {
    // Before asking: a garbage collection would take what was found valid a moment ago.
    await store.addTempRoots(paths)
    onMove()
    const valid = await store.queryValidPaths(paths, options)
    onMove()
    return valid
  })

interface Progress extends Moved {
  /** for people */
  arrived(): string
}

function progressOf(request: TransferRequest, missing: readonly PathInfo[]): Progress {
  const bytesTotal = totalSize(missing)
  const added: PathInfo[] = []
  let bytesDone = 0
  const tell = () => request.onProgress({ pathsDone: added.length, pathsTotal: missing.length, bytesDone, bytesTotal })
  tell()
  return {
    onSent(bytes) {
      bytesDone += bytes
      request.onMove()
      tell()
    },
    onAdded(info) {
      added.push(info)
      request.onMove()
      tell()
    },
    onAgain() {
      bytesDone = totalSize(added)
      tell()
    },
    arrived: () =>
      `${added.length} of ${missing.length} paths (${formatBytes(totalSize(added))} of ${formatBytes(bytesTotal)}) arrived and stay there`,
  }
}

async function send(
  { from, to, whenUntrusted, onMove }: TransferRequest,
  missing: readonly PathInfo[],
  progress: Progress,
  lanes: Carriers,
): Promise<void> {
  let added = 0
  const source = { failed: false }
  try {
    await lanes.to.addMultiple(watched(lanes.from, missing, source), {
      count: missing.length,
      checkSignatures: false,
      onSent: progress.onSent,
      onAdded(info) {
        added++
        progress.onAdded(info)
      },
      onEvent: onMove,
    })
  } catch (error) {
    const hints = [
      ...(to.store.trusted === false ? [whenUntrusted] : []),
      progress.arrived(),
      `the next run goes on with ${missing[added]?.path}`,
    ]
    throw source.failed ? notOutOfReach(told(error, from, hints)) : told(error, to, hints)
  }
}

/** The NARs, and whether it was their source that failed. */
async function* watched(from: NarSource, infos: readonly PathInfo[], source: { failed: boolean }): AsyncGenerator<Nar> {
  const fail = () => {
    source.failed = true
  }
  try {
    for await (const nar of from.narsFrom(infos)) {
      nar.bytes.once('error', fail)
      yield nar
    }
  } catch (error) {
    fail()
    throw error
  }
}

/** What Nix does when a path comes from a substituter. */
const fetching: readonly number[] = [activities.substitute, activities.copyPath]

const asked = <Result>(end: End, work: (store: Store) => Promise<Result>): Promise<Result> =>
  work(end.store).catch((error: unknown) => {
    throw told(error, end, [])
  })

const askedSource = <Result>(from: End, work: (store: Store) => Promise<Result>): Promise<Result> =>
  asked(from, work).catch((error: unknown) => {
    throw notOutOfReach(error)
  })

/** Says at which end it happened. */
function told(error: unknown, end: End, hints: readonly string[]): unknown {
  if (!(error instanceof Problem)) return error
  const { kind, detail } = error
  // Whoever can go on with another connection has to know that this one is gone.
  const Kept = error instanceof DaemonLost ? DaemonLost : Problem
  return new Kept(`${end.name}: ${error.message}`, { kind, detail, hints: [...error.hints, ...hints], cause: error })
}

/** Where it comes from is not what a person asked to be reached: its loss is a failure like any other. */
function notOutOfReach(error: unknown): unknown {
  if (!(error instanceof Problem) || error.kind !== 'unreachable') return error
  return new Problem(error.message, { ...partsOf(error), kind: 'failed' })
}

const interrupted = (signal: AbortSignal): Problem =>
  signal.reason instanceof Problem ? signal.reason : new Problem('the copy was interrupted', { kind: 'interrupted' })

const totalSize = (infos: readonly PathInfo[]): number => infos.reduce((sum, info) => sum + info.narSize, 0)
