/** A builder with a shell, git and Nix, reached over SSH: it gets the flake's source, evaluates and builds. */
import type { Channel, Machine } from '../machine/machine.ts'
import type { Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import { queryClosure } from '../nix/serve-protocol.ts'
import { type DaemonStreams, openStore as greetStore } from '../nix/worker-protocol.ts'
import { Problem } from '../problem.ts'
import type { BootFile, Builder, BuilderEvents, EvaluationOptions, EvaluationResult } from './builder.ts'
import { evaluateOn } from './evaluate.ts'
import { realise } from './realise.ts'

export interface SshBuilderParts {
  /** The name in hosts.yaml. */
  readonly name: string
  /** Logs in anew. */
  connect(signal: AbortSignal): Promise<Machine>
  /** This machine. */
  readonly here: Machine
  /** A directory here (absolute) or any flake reference. */
  readonly flake: string
  /** Inputs of the flake that are given from here: name to directory (absolute) or reference. */
  readonly inputs: ReadonlyMap<string, string>
}

// Nix may be outside the search path of a shell that is no login shell (a multi-user installation on another system).
const path = 'PATH=$PATH:$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin'
const daemonScript = `${path}
exec nix-daemon --stdio`
const serveScript = `${path}
exec nix-store --serve`

const bootFilesScript = `for part in kernel initrd; do
  [ ! -e "$1/$part" ] || echo "$(wc -c < "$1/$part")" "$(readlink -f "$1/$part")"
done`

const streamsOf = (channel: Channel): DaemonStreams => ({
  input: channel.stdin,
  output: channel.stdout,
  errorOutput: () => channel.errorOutput(),
  closed: channel.exit,
  close: () => channel.close(),
})

export function sshBuilder(parts: SshBuilderParts): Builder {
  const { name, here, flake, inputs } = parts
  let connection: Promise<Machine> | undefined
  let evaluated: { configurations: readonly string[]; options: EvaluationOptions } | undefined

  /** The connection there is, or a new one when there is none or it went away. */
  function machine(signal: AbortSignal): Promise<Machine> {
    if (connection !== undefined) return connection
    const fresh = parts.connect(signal)
    connection = fresh
    const forget = () => {
      if (connection !== fresh) return
      connection = undefined
      ready = undefined
    }
    fresh.then((there) => there.closed).then(forget, forget)
    return fresh
  }

  async function evaluate(
    configurations: readonly string[],
    options: EvaluationOptions,
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<EvaluationResult> {
    evaluated = { configurations, options }
    const there = () => machine(signal)
    const onBegin = () => void keepReady(openDaemon(signal))
    return await evaluateOn({ here, there, onBegin, flake, inputs }, { configurations, options, events, signal })
  }

  /** A store that nobody uses at the moment: opening one takes turns that evaluation and build can hide. */
  let ready: Promise<Store | undefined> | undefined

  async function keepReady(opening: Promise<Store>): Promise<void> {
    const before = ready
    ready = opening.catch(() => undefined)
    ;(await before)?.close()
  }

  async function takeStore(signal: AbortSignal): Promise<Store> {
    const taken = ready
    ready = undefined
    return (await taken) ?? (await openDaemon(signal))
  }

  async function openStore(signal: AbortSignal): Promise<Store> {
    const store = await takeStore(signal)
    const there = await machine(signal)
    // Opened now, while the host's store is.
    const opening = there.open({ argv: ['sh', '-c', serveScript] }, signal)
    const close = () => opening.then((channel) => channel.close()).catch(() => {})
    return {
      ...store,
      // A turn for each level of the graph takes seconds on a long line.
      queryClosure: (paths) =>
        opening.then((channel) => queryClosure(streamsOf(channel), paths)).catch(() => store.queryClosure(paths)),
      close() {
        void close()
        store.close()
      },
    }
  }

  async function openDaemon(signal: AbortSignal): Promise<Store> {
    const there = await machine(signal)
    const channel = await there.open({ argv: ['sh', '-c', daemonScript] }, signal)
    return await greetStore(streamsOf(channel))
  }

  async function build(
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>> {
    const store = await takeStore(signal)
    try {
      const again = async () => {
        if (!evaluated) return
        events.progress('evaluating once more: the derivations were collected as garbage')
        await evaluate(evaluated.configurations, evaluated.options, events, signal)
      }
      const built = await realise({ store, builder: name, evaluateAgain: again }, derivations, events)
      // It keeps what was built from the garbage collector until somebody copies from it.
      void keepReady(Promise.resolve(store))
      return built
    } catch (error) {
      store.close()
      signal.throwIfAborted()
      throw error instanceof Problem ? error.at({ stage: 'build' }) : error
    }
  }

  async function bootFiles(toplevel: StorePath, signal: AbortSignal): Promise<BootFile[] | undefined> {
    const there = await machine(signal)
    const { code, stdout } = await there.run({ argv: ['sh', '-c', bootFilesScript, 'sh', toplevel] }, { signal })
    if (code !== 0) return undefined
    return stdout.split('\n').flatMap((line) => {
      const [, size, path] = /^ *(\d+) (\S+)$/.exec(line) ?? []
      return size === undefined || path === undefined ? [] : [{ path, size: Number(size) }]
    })
  }

  async function close(): Promise<void> {
    ;(await ready)?.close()
    const there = await connection?.catch(() => undefined)
    await there?.close()
  }

  return { name, evaluate, build, bootFiles, openStore, shell: { machine, serve: serveScript }, close }
}
