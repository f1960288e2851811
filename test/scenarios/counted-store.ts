/** Stores of the lab's machines, with what went over their connections counted. */
import { spawn } from 'node:child_process'
import { PassThrough, pipeline, Transform } from 'node:stream'
import type { Store } from '../../lib/nix/store.ts'
import { openStore } from '../../lib/nix/worker-protocol.ts'
import { machines, sshCommand } from '../lab/lab.mjs'

export interface Traffic {
  /** times that we wrote something after having heard something */
  turns: number
  toDaemon: number
  fromDaemon: number
}

export interface CountedStore {
  readonly store: Store
  readonly traffic: Traffic
  /** resolves when the process that carried it is gone */
  readonly gone: Promise<void>
}

/** The daemon of a machine, reached as a deployment does: by its own user, on a host with sudo. */
export function daemonOf(name: string): Promise<CountedStore> {
  const elevated = machines[name]?.role === 'host' ? ['sudo', '-n'] : []
  return storeOf([...sshCommand(name), '--', ...elevated, 'nix-daemon', '--stdio'])
}

export async function storeOf(argv: readonly string[]): Promise<CountedStore> {
  const [program = '', ...rest] = argv
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] })
  const gone = new Promise<void>((resolve) => void child.on('close', () => resolve()))
  let errorOutput = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errorOutput += text
  })
  const traffic: Traffic = { turns: 0, toDaemon: 0, fromDaemon: 0 }
  let heard = true
  const input = new PassThrough()
  const written = watched((size) => {
    traffic.toDaemon += size
    if (heard) traffic.turns++
    heard = false
  })
  const output = watched((size) => {
    traffic.fromDaemon += size
    heard = true
  })
  // Their failures end the streams, which is how the store hears of them.
  pipeline(input, written, child.stdin, () => {})
  pipeline(child.stdout, output, () => {})
  const store = await openStore({
    input,
    output,
    errorOutput: () => errorOutput,
    closed: gone,
    close: () => void child.kill(),
  })
  return { store, traffic, gone }
}

const watched = (look: (size: number) => void) =>
  new Transform({
    transform(piece: Buffer, _encoding, done) {
      look(piece.length)
      done(null, piece)
    },
  })
