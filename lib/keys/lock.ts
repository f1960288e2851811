/** The lock that whoever changes the keys of a host holds there. It is the host that releases it, when contact is lost. */
import type { Clock } from '../clock.ts'
import type { Channel } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { type Asking, noAnswer, verbCommand } from './program.ts'

export interface KeysLock {
  /** Aborted with a Problem when the host doesn't answer any more: it will let somebody else in. */
  readonly lost: AbortSignal
  /** Somebody else may begin when this has resolved. Never rejects. */
  release(): Promise<void>
}

/** The host gives up on who says nothing for two minutes (lib/keys/host/25-lock.sh); we give up earlier. */
const pauseMs = 20_000
const turns = 3

/** `who`: told to whoever comes meanwhile. Rejects with a Problem of kind `locked` when somebody else holds it. */
export async function lockKeys(asking: Asking, who: string, clock: Clock): Promise<KeysLock> {
  const { machine, program, signal } = asking
  const channel = await machine.open(verbCommand('hold', who), signal)
  const lines = linesFrom(channel)
  channel.stdin.write(program)
  const answer = await lines.first
  if (answer !== 'locked') {
    channel.close()
    signal.throwIfAborted()
    if (!answer?.startsWith('held ')) throw noAnswer(machine, (await channel.exit).code, channel.errorOutput())
    throw new Problem(`its keys are being changed by ${answer.slice('held '.length)}`, {
      kind: 'locked',
      hints: ['wait until that is over; should its connection be gone, the lock is released within two minutes'],
    })
  }
  const lost = new AbortController()
  const over = new AbortController()
  void channel.exit.then(() => {
    if (!over.signal.aborted) lost.abort(contactLost(machine.name))
  })
  void keepHolding({ channel, heard: lines.count, clock, over: AbortSignal.any([over.signal, lost.signal]) }).then(
    (isSilent) => isSilent && lost.abort(contactLost(machine.name)),
  )
  return {
    lost: lost.signal,
    async release() {
      over.abort()
      channel.stdin.end()
      await Promise.race([channel.exit, clock.sleep(5_000)])
      channel.close()
    },
  }
}

const contactLost = (name: string) =>
  new Problem(`contact with ${name} was lost while its keys were being changed`, {
    hints: ['the same command goes on where this one stopped'],
  })

/** Resolves with true when nobody answers any more, with false when it is over. */
async function keepHolding(work: {
  channel: Channel
  heard: () => number
  clock: Clock
  over: AbortSignal
}): Promise<boolean> {
  const { channel, heard, clock, over } = work
  let silent = 0
  while (silent < turns) {
    const before = heard()
    channel.stdin.write('\n')
    try {
      await clock.sleep(pauseMs, over)
    } catch {
      return false
    }
    silent = heard() === before ? silent + 1 : 0
  }
  return true
}

/** The first line, or nothing when there is none; and how many came so far. */
function linesFrom({ stdout, exit }: Channel) {
  let text = ''
  let count = 0
  const first = new Promise<string | undefined>((resolve) => {
    stdout.setEncoding('utf8').on('data', (chunk: string) => {
      count += 1
      text = text.includes('\n') ? text : text + chunk
      if (text.includes('\n')) resolve(text.split('\n')[0])
    })
    void exit.then(() => resolve(text.split('\n')[0] || undefined))
  })
  return { first, count: () => count }
}
