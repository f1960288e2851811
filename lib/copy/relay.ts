/**
 * From the builder to the host through this machine: one pass over two connections, nothing on disk, and no more in
 * memory than what is between two pieces of a NAR.
 */
import { activities } from '../nix/activity.ts'
import type { Nar, NarSource, NixEvent, PathInfo } from '../nix/store.ts'
import { Problem } from '../problem.ts'
import type { CopyRequest, CopyResult, CopyStrategy } from './copy.ts'
import type { Lanes } from './lanes.ts'

/**
 * Sends what the host lacks of the closure, references first, so that every path that arrived is valid and an
 * interrupted copy goes on where it stopped. Closes both stores when it fails or is aborted.
 */
export const relay: CopyStrategy = async (request) => {
  const { from, to, signal } = request
  const close = () => {
    for (const store of [from, to, lanes?.from, lanes?.to]) store?.close()
  }
  let lanes: Lanes | undefined
  if (signal.aborted) throw interrupted(signal)
  signal.addEventListener('abort', close, { once: true })
  try {
    return await copy(request, async (bytes) => {
      lanes = await request.openLanes(bytes)
      // Neither is left open when somebody gave up meanwhile.
      if (signal.aborted) throw interrupted(signal)
      return lanes
    })
  } catch (error) {
    close()
    throw signal.aborted ? interrupted(signal) : error
  } finally {
    signal.removeEventListener('abort', close)
    // The stores themselves are the caller's.
    for (const lane of [lanes?.from, lanes?.to]) if (lane !== from && lane !== to) lane?.close()
  }
}

async function copy(request: CopyRequest, openLanes: CopyRequest['openLanes']): Promise<CopyResult> {
  const { from, to, roots, substitute, onMove } = request
  const closure = await of('builder', async () => {
    // A root keeps all it refers to.
    await from.addTempRoots(roots)
    return from.queryClosure(roots)
  })
  onMove()
  const paths = closure.map((info) => info.path)
  let hasFetched = false
  const valid = await of('host', async () => {
    // Before asking: a garbage collection would take what was found valid a moment ago.
    await to.addTempRoots(paths)
    onMove()
    const onEvent = (event: NixEvent) => {
      if (event.kind === 'start' && fetching.includes(event.type)) hasFetched = true
      onMove()
    }
    return to.queryValidPaths(paths, { substitute, onEvent })
  })
  onMove()
  const missing = closure.filter((info) => !valid.has(info.path))
  const sentBytes = totalSize(missing)
  const freeBytes = hasFetched && missing.length > 0 ? await request.freeBytesNow() : request.freeBytes
  if (sentBytes > (freeBytes ?? Number.POSITIVE_INFINITY)) throw await noRoom(request, freeBytes ?? 0, sentBytes)
  if (missing.length > 0) await send(request, missing, await openLanes(sentBytes))
  return { closurePaths: closure.length, sentPaths: missing.length, sentBytes }
}

async function send(request: CopyRequest, missing: readonly PathInfo[], { from, to }: Lanes): Promise<void> {
  const bytesTotal = totalSize(missing)
  let pathsDone = 0
  let bytesDone = 0
  const tell = () => request.onProgress({ pathsDone, pathsTotal: missing.length, bytesDone, bytesTotal })
  const source = { failed: false }
  tell()
  try {
    await to.addMultiple(watched(from, missing, source), {
      count: missing.length,
      checkSignatures: false,
      onSent(bytes) {
        bytesDone += bytes
        request.onMove()
        tell()
      },
      onAdded() {
        pathsDone++
        request.onMove()
        tell()
      },
      onEvent: request.onMove,
    })
  } catch (error) {
    const arrived = totalSize(missing.slice(0, pathsDone))
    throw told(error, source.failed ? 'builder' : 'host', [
      ...(request.to.trusted === false
        ? ['the host takes only signed paths from this login: deploy as root or with sudo']
        : []),
      `${pathsDone} of ${missing.length} paths (${size(arrived)} of ${size(bytesTotal)}) arrived and stay there`,
      `the next run goes on with ${missing[pathsDone]?.path}`,
    ])
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

type End = 'builder' | 'host'

const of = <Result>(end: End, work: () => Promise<Result>): Promise<Result> =>
  work().catch((error: unknown) => {
    throw told(error, end, [])
  })

/** Says at which end it happened. */
function told(error: unknown, end: End, hints: readonly string[]): unknown {
  if (!(error instanceof Problem)) return error
  const { detail } = error
  // A builder that can't be reached is no reason to call the host unreachable.
  const kind = end === 'builder' && error.kind === 'unreachable' ? 'failed' : error.kind
  return new Problem(`the ${end}'s store: ${error.message}`, {
    kind,
    detail,
    hints: [...error.hints, ...hints],
    cause: error,
  })
}

async function noRoom({ whatToFree }: CopyRequest, freeBytes: number, needed: number): Promise<Problem> {
  const missing = size(needed - freeBytes)
  return new Problem(`the host lacks ${size(needed)}, and has room for ${size(freeBytes)}: ${missing} are missing`, {
    hints: whatToFree ? [await whatToFree()] : [],
  })
}

const interrupted = (signal: AbortSignal): Problem =>
  signal.reason instanceof Problem ? signal.reason : new Problem('the copy was interrupted', { kind: 'interrupted' })

const totalSize = (infos: readonly PathInfo[]): number => infos.reduce((sum, info) => sum + info.narSize, 0)

const size = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
