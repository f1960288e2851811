/** This machine, as a `Machine`. */
import type { Elevation } from '../machine/command.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { userName } from './identity.ts'
import { machineOver, type Transport } from './machine.ts'
import { type Process, startProcess } from './process.ts'
import type { PasswordSource } from './sudo-password.ts'

export interface LocalMachineOptions {
  /** The name in hosts.yaml; `localhost` when left out. */
  readonly name?: string
  /** Where commands run. */
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** `none` for root, `passwordless` for everybody else when left out. */
  readonly elevation?: Elevation
  /** For elevation `ask`. */
  readonly password?: PasswordSource
}

/** No login shell is in between: a command is started as it is. Closing ends what still runs. */
export function localMachine(options: LocalMachineOptions = {}): Machine {
  const processes = new Set<Process>()
  let gone = () => {}
  const closed = new Promise<void>((resolve) => {
    gone = resolve
  })
  const transport: Transport = {
    closed,
    async start(argv, signal) {
      const started = await startProcess(argv, {
        ...(options.cwd !== undefined && { cwd: options.cwd }),
        ...(options.env && { env: options.env }),
        ...(signal && { signal }),
      })
      processes.add(started)
      void started.exit.then(() => processes.delete(started))
      return { channel: started, freed: started.exit }
    },
    async close() {
      gone()
      for (const one of processes) one.close()
      await Promise.all([...processes].map((one) => one.exit))
    },
  }
  return machineOver(transport, {
    name: options.name ?? 'localhost',
    destination: 'localhost',
    address: 'localhost',
    user: userName(),
    elevation: options.elevation ?? (process.getuid?.() === 0 ? 'none' : 'passwordless'),
    password: options.password ?? nobody,
    channels: Number.POSITIVE_INFINITY,
  })
}

const nobody: PasswordSource = {
  ask: () => Promise.reject(new Problem('sudo wants a password, and nobody can be asked for it')),
  forget: () => undefined,
}
