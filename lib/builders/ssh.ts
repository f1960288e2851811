/** A builder with a shell, git and Nix, reached over SSH: it gets the flake's source, evaluates and builds. */
import type { Machine } from '../machine/machine.ts'
import type { Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import { openStore as greetStore } from '../nix/worker-protocol.ts'
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
const daemonScript = `PATH=$PATH:$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin
exec nix-daemon --stdio`

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

  async function openStore(signal: AbortSignal): Promise<Store> {
    const there = await machine(signal)
    const channel = await there.open({ argv: ['sh', '-c', daemonScript] }, signal)
    return await greetStore({
      input: channel.stdin,
      output: channel.stdout,
      errorOutput: () => channel.errorOutput(),
      closed: channel.exit,
      close: () => channel.close(),
    })
  }

  async function build(
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>> {
    const store = await openStore(signal)
    try {
      const again = async () => {
        if (!evaluated) return
        events.progress('evaluating once more: the derivations were collected as garbage')
        await evaluate(evaluated.configurations, evaluated.options, events, signal)
      }
      return await realise({ store, builder: name, evaluateAgain: again }, derivations, events)
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof Problem ? error.at({ stage: 'build' }) : error
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

  return { name, evaluate, build, bootFiles, openStore, close }
}
