/** One login for as long as it holds, and a Nix daemon's streams over it. */
import type { Machine } from '../machine/machine.ts'
import { streamsOf } from '../nix/streams.ts'
import { openStore } from '../nix/worker-protocol.ts'
import type { OpenStore } from './builder.ts'

export interface Connection {
  /** The login there is, or a new one when there is none or it went away. */
  machine(signal: AbortSignal): Promise<Machine>
  /** Whoever needs a connection next gets a new one. */
  leave(there: Machine): Promise<void>
  close(): Promise<void>
}

export function connectionBy(connect: (signal: AbortSignal) => Promise<Machine>): Connection {
  let current: Promise<Machine> | undefined
  return {
    machine(signal) {
      if (current !== undefined) return current
      const fresh = connect(signal)
      current = fresh
      const forget = () => {
        if (current === fresh) current = undefined
      }
      fresh.then((there) => there.closed).then(forget, forget)
      return fresh
    },
    async leave(there) {
      if ((await current?.catch(() => undefined)) === there) current = undefined
      void there.close()
    },
    async close() {
      const there = await current?.catch(() => undefined)
      await there?.close()
    },
  }
}

/**
 * Starts a daemon that speaks on its standard streams, and greets it. `after` is called when the store is closed, `onLost`
 * when the connection went away under it.
 */
export async function openDaemon(
  machine: Machine,
  argv: readonly string[],
  signal: AbortSignal,
  { after, onLost }: { after?(): void; onLost?(): Promise<void> } = {},
): Promise<OpenStore> {
  const channel = await machine.open({ argv }, signal)
  const streams = streamsOf(channel, onLost)
  const store = await openStore({
    ...streams,
    close() {
      streams.close?.()
      after?.()
    },
  })
  return { ...store, giveWay: () => channel.giveWay?.() }
}
