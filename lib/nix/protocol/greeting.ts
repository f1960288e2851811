/** The first words with a daemon: who we are, which protocol, whether it trusts us. */
import { Problem } from '../../problem.ts'
import type { Connection } from './connection.ts'
import { greeting, newest, oldest } from './operations.ts'
import { untilAnswer } from './said.ts'
import { EndOfStream, NotUnderstood } from './wire-reader.ts'
import { integer, strings } from './wire.ts'

export interface Introduction {
  /** the daemon's own version (`2.26.3`), empty before protocol 1.33 */
  readonly version: string
  /** said from protocol 1.35 on */
  readonly trusted: boolean | undefined
}

const wireVersion = (minor: number) => 0x100 + minor
const shownOfAnswer = 400

/** Sets the connection's protocol version. Rejects with a Problem when the other side is no daemon or too old a one. */
export async function greet(connection: Connection): Promise<Introduction> {
  const { reader } = connection
  connection.post(Buffer.concat([integer(greeting.client), integer(wireVersion(newest))]))
  await expectDaemon(connection)
  const theirs = await reader.integer()
  if (theirs < wireVersion(oldest) || theirs >= wireVersion(0x100)) throw notOurs(theirs)
  connection.minor = Math.min(theirs - wireVersion(0), newest)
  // We need none of the features that came after 1.38. The two zeros were a processor to run on and a reserve of space.
  const features = connection.minor >= 38 ? strings([]) : Buffer.alloc(0)
  connection.post(Buffer.concat([features, integer(0), integer(0)]))
  if (connection.minor >= 38) await reader.strings()
  const version = connection.minor >= 33 ? await reader.string() : ''
  const trust = connection.minor >= 35 ? await reader.integer() : 0
  await untilAnswer(reader)
  return { version, trusted: trust === 0 ? undefined : trust === 1 }
}

async function expectDaemon(connection: Connection): Promise<void> {
  const { reader } = connection
  const first = await reader.bytes(8).catch((error: unknown) => {
    if (error instanceof EndOfStream) return undefined
    throw error
  })
  if (first?.equals(integer(greeting.daemon))) return
  const printed = Buffer.concat([first ?? Buffer.alloc(0), reader.atHand()])
  const reason = new NotUnderstood(`${printed.length} bytes that are no greeting`)
  throw notADaemon(printed, await connection.lastWords(), reason)
}

function notADaemon(printed: Buffer, errorOutput: string, cause: Error): Problem {
  const text = printed
    .toString('utf8', 0, shownOfAnswer)
    .replaceAll(/[^\P{C}\n]/gu, '?')
    .trimEnd()
  const detail = [text, errorOutput].filter((part) => part !== '').join('\n')
  if (text === '')
    return new Problem('no Nix daemon answered', {
      hints: ['is Nix installed there, and is nix-daemon found by a login that runs just one command?'],
      detail,
      cause,
    })
  return new Problem('something else than a Nix daemon answered', {
    hints: ['a shell start-up file that prints something breaks this: it may only do so for interactive shells'],
    detail,
    cause,
  })
}

function notOurs(version: number): Problem {
  const found = `${version >> 8}.${version & 0xff}`
  return new Problem(`the Nix daemon speaks protocol ${found}, and we speak 1.${oldest} to 1.${newest}`, {
    hints: [version < wireVersion(oldest) ? 'Nix 2.5 or newer is needed there' : 'is there a newer version of deploy?'],
  })
}
