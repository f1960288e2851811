/** A builder with a shell, git and Nix, reached over SSH: it gets the flake's source, evaluates and builds. */
import type { InputSource } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import type { Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import { DaemonLost, openStore as greetStore } from '../nix/worker-protocol.ts'
import { Problem, partsOf } from '../problem.ts'
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
  /** Inputs of the flake that are given from here. */
  readonly inputs: ReadonlyMap<string, InputSource>
}

// Nix may be outside the search path of a shell that is no login shell (a multi-user installation on another system).
const daemonScript = `PATH=$PATH:$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin
exec nix-daemon --stdio "$@"`

const bootFilesScript = `for part in kernel initrd; do
  [ ! -e "$1/$part" ] || echo "$(wc -c < "$1/$part")" "$(readlink -f "$1/$part")"
done`

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
      if (connection === fresh) connection = undefined
    }
    fresh.then((there) => there.closed).then(forget, forget)
    return fresh
  }

  /** Whoever needs a connection next gets a new one. */
  async function leave(there: Machine): Promise<void> {
    if ((await connection?.catch(() => undefined)) === there) connection = undefined
    void there.close()
  }

  async function evaluate(
    configurations: readonly string[],
    options: EvaluationOptions,
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<EvaluationResult> {
    evaluated = { configurations, options }
    const there = await machine(signal)
    return await evaluateOn({ here, there, flake, inputs }, { configurations, options, events, signal })
  }

  /** `settings`: of nix.conf, for what is asked of this store. */
  async function openStore(signal: AbortSignal, settings: EvaluationOptions['options'] = []): Promise<Store> {
    const there = await machine(signal)
    const options = settings.flatMap(([setting, value]) => ['--option', setting, value])
    const channel = await there.open({ argv: ['sh', '-c', daemonScript, 'nix-daemon', ...options] }, signal)
    let lost = false
    return await greetStore({
      input: channel.stdin,
      output: channel.stdout,
      errorOutput: () => channel.errorOutput(),
      closed: channel.exit.then(async (exit) => {
        lost = exit.lost
        if (lost) await leave(there)
      }),
      isOutOfReach: () => lost,
      close: () => channel.close(),
    })
  }

  async function build(
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>> {
    try {
      return await buildOnce(derivations, events, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof DaemonLost)) throw error
      // What was built until then is in the store.
      events.warning(`${name} went away in the middle of the build: going on there once more`)
    }
    return await buildOnce(derivations, events, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      if (!(error instanceof DaemonLost)) throw error
      throw new Problem(`${name} went away in the middle of the build, twice`, partsOf(error))
    })
  }

  async function buildOnce(
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>> {
    const store = await openStore(signal, evaluated?.options.options)
    try {
      const again = async () => {
        if (!evaluated) return
        events.progress('evaluating once more: the derivations were collected as garbage')
        await evaluate(evaluated.configurations, evaluated.options, events, signal)
      }
      return await realise({ store, builder: name, evaluateAgain: again }, derivations, events)
    } finally {
      store.close()
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
    const there = await connection?.catch(() => undefined)
    await there?.close()
  }

  return { name, evaluate, build, bootFiles, openStore: (signal) => openStore(signal), close }
}
