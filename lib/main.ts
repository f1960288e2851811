/** Where everything is put together: the arguments, the real world, and the exit code. The only importer of lib/edge. */
import type { ControlMachine, OpenTools } from './cli/control-machine.ts'
import type { Report } from './deployment/event.ts'
import type { Interrupts } from './edge/interrupt.ts'
import { type OpenTerminal, openTerminal, type Streams } from './edge/terminal.ts'
import type { Inventory } from './inventory/inventory.ts'
import { Problem } from './problem.ts'

/** Everything that isn't needed for `--help` is loaded when it is. Resolves with the exit code; never rejects. */
export async function main(words: readonly string[], streams: Streams = process): Promise<number> {
  const terminal = openTerminal(streams)
  const exitCode = await run(words, terminal, streams.env)
  const lost = await terminal.flush()
  if (lost === undefined) return exitCode
  terminal.err.print([[`deploy: error: the result could not be written: ${lost}`]])
  return exitCode || 1
}

async function run(words: readonly string[], terminal: OpenTerminal, env: Streams['env']): Promise<number> {
  let interrupts: Interrupts | undefined
  const debug = Boolean(env['DEPLOY_DEBUG'])
  try {
    const { parseArguments } = await import('./cli/arguments.ts')
    const { verbs } = await import('./cli/verbs.ts')
    const { readVersion } = await import('./edge/files.ts')
    const version = await readVersion()
    const parsed = await parseArguments(words, { verbs, version, columns: terminal.out.columns ?? 80 })
    if (parsed.kind === 'text') {
      terminal.out.write(parsed.text)
      return 0
    }
    const { listenForInterrupts } = await import('./edge/interrupt.ts')
    interrupts = listenForInterrupts((text) => terminal.err.print([[text]]))
    return await orCrash(parsed.run(await controlMachine({ terminal, interrupts, debug })))
  } catch (thrown) {
    // Whatever is thrown after Ctrl-C is most likely thrown because of it.
    const error = interrupts?.signal.aborted && !(thrown instanceof Problem) ? interrupts.signal.reason : thrown
    const { tellFailure } = await import('./cli/failure.ts')
    return tellFailure(error, { words, terminal, debug })
  } finally {
    interrupts?.release()
  }
}

/** An error that nobody waits for ends the run like one that somebody does. */
async function orCrash<T>(work: Promise<T>): Promise<T> {
  let crash = (_error: unknown) => {}
  const crashed = new Promise<never>((_resolve, reject) => {
    crash = reject
  })
  process.on('uncaughtException', crash)
  try {
    return await Promise.race([work, crashed])
  } finally {
    process.off('uncaughtException', crash)
  }
}

async function controlMachine(
  given: Pick<Parts, 'terminal' | 'interrupts'> & { debug: boolean },
): Promise<ControlMachine> {
  const { terminal, interrupts, debug } = given
  const [{ systemClock }, { currentDirectory, readText }] = await Promise.all([
    import('./edge/clock.ts'),
    import('./edge/files.ts'),
  ])
  return {
    terminal,
    clock: systemClock,
    files: { read: readText },
    directory: currentDirectory(),
    signal: interrupts.signal,
    debug,
    open: (inventory, report) => openTools({ inventory, report, terminal, interrupts }),
  }
}

interface Parts {
  readonly inventory: Inventory
  readonly report: Report
  readonly terminal: OpenTerminal
  readonly interrupts: Interrupts
}

async function openTools({ inventory, report, terminal, interrupts }: Parts): Promise<OpenTools> {
  const [clock, codecs, files, identity, local, probe, processes, ssh, builders, stores, nixbuild, activation] =
    await Promise.all([
      import('./edge/clock.ts'),
      import('./edge/codecs.ts'),
      import('./edge/files.ts'),
      import('./edge/identity.ts'),
      import('./edge/local-machine.ts'),
      import('./edge/probe.ts'),
      import('./edge/process.ts'),
      import('./edge/ssh.ts'),
      import('./builders/index.ts'),
      import('./builders/store.ts'),
      import('./builders/nixbuild.ts'),
      import('./activation/host-program.ts'),
    ])
  const here = local.localMachine()
  const network = ssh.sshNetwork({
    password: (name) => terminal.askHidden(`sudo password for ${name}: `, interrupts.signal),
    warn: (host, text) => report({ kind: 'warning', host, text }),
    trace: (host, line) => report({ kind: 'log', host, stage: 'preflight', line }),
  })
  const { secrets } = files
  const { systemClock } = clock
  const made = builders.openBuilders(inventory.builders, {
    network,
    here,
    secrets,
    clock: systemClock,
    source: inventory,
  })
  const account = nixbuild.nixbuildAccount(inventory.builders)
  return {
    tools: {
      network,
      here: { machine: here, nodeVersion: identity.nodeVersion },
      clock: systemClock,
      program: activation.hostProgram(await files.readHostProgramParts('activation')),
      checkEdge: probe.checkEdge(inventory.directory, processes.runProcess),
      codecs: codecs.codecs,
      report,
      who: identity.whoAmI(),
      keys: {
        program: async () => {
          const { keysProgram } = await import('./keys/program.ts')
          return keysProgram(await files.readHostProgramParts('keys'))
        },
        builders: inventory.builders,
        secret: (source) => stores.secret(source, secrets),
        login: (signal) => stores.connectToStore(account, { network, secrets }, signal),
      },
      randomHex: identity.randomHex,
      builder: made.choose,
      signal: interrupts.signal,
      giveUp: interrupts.giveUp,
    },
    async close() {
      await Promise.allSettled([made, here].map((one) => one.close()))
    },
  }
}
