/** A `Machine` over any way to start commands: over ssh2, over the system's ssh, or here. */
import { type Command, type Elevation, elevate } from '../machine/command.ts'
import type { Channel, Finished, Machine, RunOptions } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { systemClock } from './clock.ts'
import { runToEnd } from './finish.ts'
import { lost } from './lost.ts'
import { Slots } from './slots.ts'
import { type PasswordSource, withPassword } from './sudo-password.ts'

export interface Started {
  readonly channel: Channel
  /** Its place on the connection is free again: when it has ended, even if nobody here waits for that any more. */
  readonly freed: Promise<unknown>
}

export interface Transport {
  /** Starts a program. An abort before it has ended ends it, as far as the other side allows that. */
  start(argv: readonly string[], signal?: AbortSignal): Promise<Started>
  readonly closed: Promise<void>
  close(): Promise<void>
}

/** The other side has no room for one more channel at this moment. */
export class NoRoom extends Problem {
  constructor(name: string, cause: unknown) {
    super(`the SSH server of ${name} opens no session`, { host: name, cause })
  }
}

export interface MachineFacts {
  readonly name: string
  readonly destination: string
  readonly address: string
  readonly user: string
  readonly elevation: Elevation
  /** Used only with elevation `ask`. */
  readonly password: PasswordSource
  /** How many commands may run at once; 8 when left out. */
  readonly channels?: number
}

/** sshd's MaxSessions is 10 by default, and opening the eleventh channel fails at once. */
const channelsOverSsh = 8

export function machineOver(transport: Transport, facts: MachineFacts): Machine {
  const { name, destination, address, user, elevation } = facts
  const slots = new Slots(facts.channels ?? channelsOverSsh)
  let gone = false
  const whenGone = transport.closed.then(() => {
    gone = true
  })

  /** Those that have a session of the server at this moment. */
  let sessions = 0
  let opened = 0
  const givingWay = new Set<Channel>()
  const makeRoom = () => {
    for (const one of givingWay) one.close()
  }

  async function start(argv: readonly string[], signal?: AbortSignal, atOnce = false): Promise<Channel> {
    if (!atOnce && slots.isFull) makeRoom()
    const release = atOnce ? slots.takeAtOnce() : await Promise.race([slots.take(signal), whenGone])
    if (gone || (!release && !atOnce)) throw lost(name)
    if (!release) throw new NoRoom(name, undefined)
    try {
      const { channel, freed } = await startWhereRoom(argv, signal, atOnce)
      sessions += 1
      opened += 1
      void freed.then(() => {
        sessions -= 1
        givingWay.delete(channel)
        release()
      })
      const giveWay = () => {
        if (slots.areWanted) channel.close()
        else givingWay.add(channel)
      }
      return { ...channel, giveWay }
    } catch (error) {
      release()
      throw gone ? lost(name) : error
    }
  }

  /**
   * sshd frees a session a little after it has closed the channel, so a place that looks free may not be yet; and
   * where MaxSessions is lower than ours, there is room when one of the others has ended.
   */
  async function startWhereRoom(
    argv: readonly string[],
    signal: AbortSignal | undefined,
    atOnce: boolean,
  ): Promise<Started> {
    let before = opened
    for (let pause = 20; ; pause = Math.min(2 * pause, 640)) {
      try {
        return await transport.start(argv, signal)
      } catch (error) {
        if (!(error instanceof NoRoom) || (atOnce && pause > 100)) throw error
        if (!atOnce) makeRoom()
        // Somebody got through meanwhile, or holds a session still: it is worth another second.
        if (sessions > 0 || opened > before) pause = Math.min(pause, 160)
        else if (pause === 640) throw error
        before = opened
        await systemClock.sleep(pause, signal)
      }
    }
  }

  const open: Machine['open'] = (command, signal, { atOnce } = {}) =>
    command.asRoot && elevation === 'ask'
      ? withPassword((argv) => start(argv, signal, atOnce), command.argv, facts)
      : start(elevate(command, elevation), signal, atOnce)

  const run = (command: Command, options: RunOptions = {}): Promise<Finished> =>
    runToEnd({ argv: command.argv, on: name, start: (signal) => open(command, signal) }, options)

  return { name, destination, address, user, open, run, closed: transport.closed, close: () => transport.close() }
}
