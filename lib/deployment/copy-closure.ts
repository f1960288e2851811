/** Brings a toplevel's closure to the host, and keeps it there until the transaction has its own roots. */
import { type HostState, probe, whyNot } from '../activation/host-state.ts'
import type { BootFile, Builder } from '../builders/builder.ts'
import { type Deltas, prepareDeltas } from '../copy/delta/prepare.ts'
import { copyStrategy } from '../copy/index.ts'
import { prepareLanes } from '../copy/lanes.ts'
import { type Lines, measureLines } from '../copy/lines.ts'
import { formatBytes } from '../format.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import { patience } from '../nix/patience.ts'
import type { Store } from '../nix/store.ts'
import type { StorePath } from '../nix/store-path.ts'
import { streamsOf } from '../nix/streams.ts'
import { openStore } from '../nix/worker-protocol.ts'
import { Problem } from '../problem.ts'
import { missingOnBoot } from './boot-room.ts'
import { whatCleaningFrees } from './clean.ts'
import type { Gathered } from './outcomes.ts'
import type { Session } from './session.ts'
import type { Mode, Tools } from './tools.ts'

export async function copyClosure(
  place: { host: Host; session: Session; tools: Tools; gathered: Gathered; mode: Mode },
  toplevel: { path: StorePath; builder: Builder },
  state: HostState,
): Promise<{ release(): void }> {
  const { host, session, tools, gathered } = place
  let started: number | undefined
  const { signal, moved, end } = patience('the copy', tools)
  // The builder is asked meanwhile. What it can't tell is no reason to stop.
  const bootFiles = toplevel.builder.bootFiles(toplevel.path, signal).catch(() => undefined)
  const [from, to] = await openBoth(
    [toplevel.builder.openStore(signal), session.machine(signal).then((machine) => openHostStore(machine, signal))],
    signal,
  ).catch((error: unknown) => {
    end()
    throw error
  })
  moved()
  const ends = {
    from: { store: from, ...toplevel.builder.shell, asRoot: false },
    to: { store: to, machine: session.machine, serve: serve.join(' '), asRoot: true },
  }
  let measured: Promise<Lines | undefined> | undefined
  const lines = () => {
    measured ??= measureLines({ ...ends, codecs: tools.codecs, clock: tools.clock, signal })
    return measured
  }
  const { compress, delta } = host.copy
  const openLanes = prepareLanes({ ...ends, setting: compress, lines, signal })
  const deltas = prepareDeltas({
    ...ends,
    setting: delta,
    compress,
    lines,
    log: (line) => tools.report({ kind: 'log', host: host.name, stage: 'copy', line }),
    signal,
  })
  let compressed = ''
  try {
    await refuseFullBoot(place, state, await bootFiles)
    const result = await copyStrategy(host.copy.via)({
      roots: [toplevel.path],
      from,
      to,
      async openLanes(bytes) {
        const lanes = await openLanes(bytes)
        compressed = lanes.compressed
        return lanes
      },
      sendOtherwise: deltas.send,
      substitute: host.copy.substitute,
      freeBytes: state.freeInStore,
      freeBytesNow: async () => (await probe(await session.machine(signal), tools.program, signal)).freeInStore,
      whatToFree: () => whatCleaningFrees(place, 'store'),
      signal,
      onMove: moved,
      onProgress(progress) {
        started ??= tools.clock.monotonic()
        // Now, so that it is told of a copy that fails as well.
        gathered.sentBytes = progress.bytesDone
        gathered.sentPaths = progress.pathsDone
        gathered.sparedBytes = sparedBy(deltas)
        const seconds = (tools.clock.monotonic() - started) / 1000
        const rate = seconds > 0 ? `${formatBytes(progress.bytesDone / seconds)}/s` : ''
        const text = `${progress.pathsDone}/${progress.pathsTotal} paths, ${formatBytes(progress.bytesDone)} of ${formatBytes(progress.bytesTotal)}, ${rate}`
        tools.report({ kind: 'progress', host: host.name, stage: 'copy', text })
      },
    })
    gathered.sentBytes = result.sentBytes
    gathered.sentPaths = result.sentPaths
    gathered.sparedBytes = sparedBy(deltas)
    const { paths, bytes } = deltas.told()
    const how = [
      compressed && `, sent as ${compressed}`,
      paths > 0 ? `, ${paths} of them as patches of ${formatBytes(bytes)}` : '',
    ]
    const text =
      result.sentPaths === 0
        ? 'the host had everything'
        : `${result.sentPaths} of ${result.closurePaths} paths, ${formatBytes(result.sentBytes)}${how.join('')}`
    tools.report({ kind: 'note', host: host.name, stage: 'copy', text })
    return { release: () => to.close() }
  } catch (error) {
    to.close()
    throw error
  } finally {
    end()
    from.close()
  }
}

function sparedBy(deltas: Deltas): number {
  const { narBytes, bytes } = deltas.told()
  return Math.max(0, narBytes - bytes)
}

/** Neither is left open when the other one can't be. */
async function openBoth(stores: [Promise<Store>, Promise<Store>], signal: AbortSignal): Promise<[Store, Store]> {
  try {
    return await Promise.all(stores)
  } catch (error) {
    for (const store of stores) void store.then((opened) => opened.close()).catch(() => {})
    throw signal.aborted ? signal.reason : error
  }
}

/** Where the boot loader only makes room before it copies, it may be enough all the same: then it is a warning. */
async function refuseFullBoot(
  place: { host: Host; session: Session; tools: Tools; mode: Mode },
  state: HostState,
  files: readonly BootFile[] | undefined,
): Promise<void> {
  const { host, tools, mode } = place
  if (mode === 'test' || mode === 'dry-activate') return
  const room = missingOnBoot(state, files ?? [])
  if (!room) return
  const free = formatBytes(state.bootFiles?.freeBytes ?? 0)
  const text = `the new kernel, initrd and device trees need ${formatBytes(room.needed)} of /boot, which has room for ${free}: ${formatBytes(room.missing)} are missing`
  if (!room.certain) tools.report({ kind: 'warning', host: host.name, text })
  else throw new Problem(text, { hints: [await whatCleaningFrees(place, 'boot')] })
}

/**
 * Each path is on the disk before it is registered: otherwise a power cut leaves truncated files in paths that count as
 * valid, and the next copy would trust them (https://github.com/NixOS/nix/issues/11457). Before Nix 2.25 a warning.
 */
const durably = ['--option', 'fsync-store-paths', 'true']
const daemon = ['nix-daemon', '--stdio', ...durably]
const serve = ['nix-store', '--serve', '--write', ...durably]

/** The store of the host, spoken to as root: only root may add paths that nobody signed. */
async function openHostStore(machine: Machine, signal: AbortSignal): Promise<Store> {
  const channel = await machine.open({ argv: daemon, asRoot: true }, signal)
  try {
    return await openStore(streamsOf(channel))
  } catch (error) {
    channel.close()
    const exit = await Promise.race([channel.exit, undefined])
    throw exit?.code ? await whyNot(machine, { stderr: channel.errorOutput(), code: exit.code }) : error
  }
}

/** The specialisation's own toplevel, asked of the host once the closure is there. Throws a Problem when there is none. */
export async function resolveSpecialisation(
  machine: Machine,
  { toplevel, name }: { toplevel: StorePath; name: string },
  signal: AbortSignal,
): Promise<string> {
  const options = { timeoutMs: 60_000, signal }
  // The exit code says whether it is there; the names beside it help when it is not.
  const found = await machine.run({ argv: ['readlink', '-e', '--', `${toplevel}/specialisation/${name}`] }, options)
  if (found.code === 0) return found.stdout.trim()

  const beside = await machine.run({ argv: ['ls', '--', `${toplevel}/specialisation`] }, options)
  const names = beside.stdout.trim().split('\n').filter(Boolean)
  throw new Problem(`the configuration has no specialisation ${name}`, {
    hints: [names.length > 0 ? `it has: ${names.join(', ')}` : 'it has none'],
  })
}
