/** The connection to one host over a whole deployment: one login as long as it holds, a new one when it was lost. */
import type { Host } from '../inventory/inventory.ts'
import type { Machine, Network } from '../machine/machine.ts'

export interface Session {
  /** The login in use; a new one when there is none or it was lost. */
  machine(signal?: AbortSignal): Promise<Machine>
  /** A login of its own, made now: proof that the host can be logged in to. The caller closes it. */
  freshLogin(signal?: AbortSignal): Promise<Machine>
  /** A login that came about otherwise is used from now on. */
  adopt(machine: Machine): void
  close(): Promise<void>
}

const loginTimeoutMs = 15_000

export function openSession(host: Host, network: Network): Session {
  let current: Machine | undefined
  const login = (destination: string, signal?: AbortSignal) =>
    network.connect({ name: host.name, destination, elevation: host.elevation, timeoutMs: loginTimeoutMs }, signal)
  const use = (machine: Machine) => {
    current = machine
    void machine.closed.then(() => {
      if (current === machine) current = undefined
    })
    return machine
  }
  return {
    machine: async (signal) => current ?? use(await login(host.destination, signal)),
    freshLogin: (signal) => login(host.verifyAt, signal),
    adopt(machine) {
      if (current !== machine) void current?.close()
      use(machine)
    },
    close: async () => current?.close(),
  }
}
