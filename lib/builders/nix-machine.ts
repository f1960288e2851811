/** A machine with a shell, git and Nix: it gets the flake's source, evaluates and builds. */
import type { InputSource } from '../inventory/inventory.ts'
import type { Channel, Machine } from '../machine/machine.ts'
import { searchPath } from '../nix/search-path.ts'
import { queryClosure } from '../nix/serve-protocol.ts'
import type { StorePath } from '../nix/store-path.ts'
import { streamsOf } from '../nix/streams.ts'
import { type BuildHook, hookRefused } from './build-hook.ts'
import type { BootFile, BuildStore, Evaluator, NixSetting, OpenStore } from './builder.ts'
import { connectionBy, openDaemon } from './connection.ts'
import { evaluateOn } from './evaluate.ts'
import { askLoad } from './load.ts'

export interface NixMachineParts {
  /** The name in hosts.yaml. */
  readonly name: string
  /** Logs in anew. */
  connect(signal: AbortSignal): Promise<Machine>
  /** This machine. */
  readonly here: Machine
  /** A directory here (absolute) or any flake reference. */
  readonly flake: string
  /** Inputs of the flake that are given from here. */
  readonly inputs: ReadonlyMap<string, InputSource>
  whereLogIs?: BuildStore['whereLogIs']
  readonly buildHook?: BuildHook | undefined
}

export type NixMachine = Evaluator & BuildStore

// What was built before is on the disk soon: after a power cut, Nix would trust paths that are cut short
// (https://github.com/NixOS/nix/issues/11457), and fsync-store-paths is the builder's own setting.
const daemonScript = `${searchPath}
{ sync -f /nix/store || sync; } < /dev/null > /dev/null 2>&1 &
exec nix-daemon --stdio "$@"`
const serveScript = `${searchPath}
exec nix-store --serve`

const bootFilesScript = `for part in kernel initrd; do
  [ ! -e "$1/$part" ] || echo "$(wc -c < "$1/$part")" "$(readlink -f "$1/$part")"
done
[ ! -d "$1/dtbs" ] || echo "$(($(du -sk "$1/dtbs/" | cut -f 1) * 1024))" "$(readlink -f "$1/dtbs")" device-trees`

export function nixMachine({ name, connect, here, flake, inputs, buildHook, ...parts }: NixMachineParts): NixMachine {
  const { machine, leave, close } = connectionBy(connect)
  const whereLogIs =
    parts.whereLogIs ?? ((derivation: string) => `see the whole log: nix log ${derivation} (on ${name})`)

  async function bootFiles(toplevel: StorePath, signal: AbortSignal): Promise<BootFile[] | undefined> {
    const there = await machine(signal)
    const { code, stdout } = await there.run({ argv: ['sh', '-c', bootFilesScript, 'sh', toplevel] }, { signal })
    if (code !== 0) return undefined
    return stdout.split('\n').flatMap((line) => {
      const [, size, path, kind] = /^ *(\d+) (\S+)( device-trees)?$/.exec(line) ?? []
      if (size === undefined || path === undefined) return []
      return [{ path, size: Number(size), areDeviceTrees: kind !== undefined }]
    })
  }

  async function openNew(signal: AbortSignal, settings: readonly NixSetting[] = []): Promise<OpenStore> {
    const there = await machine(signal)
    const all = [...(buildHook?.settings ?? []), ...settings]
    const options = all.flatMap(([setting, value]) => ['--option', setting, value])
    const argv = ['sh', '-c', daemonScript, 'nix-daemon', ...options]
    const store = await openDaemon(there, argv, signal, { onLost: () => leave(there) })
    const refused = buildHook && hookRefused(buildHook, there, store)
    if (refused) {
      store.close()
      throw refused
    }
    let serving: Channel | undefined
    // A turn for each level of the graph takes seconds on a long line.
    const closureByServe = async (paths: readonly StorePath[]) => {
      serving = await there.open({ argv: ['sh', '-c', serveScript] }, signal, { atOnce: true })
      return await queryClosure(streamsOf(serving), paths)
    }
    return {
      ...store,
      queryClosure: (paths) => closureByServe(paths).catch(() => store.queryClosure(paths)),
      close() {
        serving?.close()
        store.close()
      },
    }
  }

  /** Opened beside the evaluation, whose length hides the turns that it takes. */
  let ready: Promise<OpenStore | undefined> | undefined

  function takeReady(): Promise<OpenStore | undefined> | undefined {
    const taken = ready
    ready = undefined
    return taken
  }
  const dropReady = async () => (await takeReady())?.close()

  return {
    name,
    async evaluate(configurations, given, events, signal) {
      // What is built for an evaluation as well.
      const options = { ...given, options: [...(buildHook?.settings ?? []), ...given.options] }
      // Whether it would build there at all, before anything is done for it.
      let checked = buildHook && (await openNew(signal, given.options))
      const onBegin = () => {
        void dropReady()
        ready = checked ? Promise.resolve(checked) : openNew(signal, given.options).catch(() => undefined)
        checked = undefined
      }
      const places = { here, there: () => machine(signal), onBegin, flake, inputs, whereLogIs }
      try {
        return await evaluateOn(places, { configurations, options, events, signal })
      } finally {
        checked?.close()
      }
    },
    async openStore(signal: AbortSignal, settings: readonly NixSetting[] = []) {
      return (await takeReady()) ?? (await openNew(signal, settings))
    },
    async load(signal) {
      if (buildHook) (await openNew(signal)).close()
      return await askLoad(await machine(signal), signal)
    },
    bootFiles,
    whereLogIs,
    ...buildHook?.own,
    shell: { machine, serve: serveScript },
    async close() {
      await dropReady()
      await close()
    },
  }
}
