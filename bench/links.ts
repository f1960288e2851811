/** The lines between the workstation and the others: a name, and how long and wide each is. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { address, onTheNetwork } from '../test/lab/lab.mjs'

export interface Link {
  readonly name: 'loopback' | 'lan' | 'wifi' | 'wan'
  /** milliseconds, there and back */
  readonly roundTrip: number
  /** bytes a second in each direction; 0: as fast as this computer is */
  readonly rate: number
}

const megabit = 1e6 / 8

export const links: readonly Link[] = [
  { name: 'loopback', roundTrip: 0, rate: 0 },
  { name: 'lan', roundTrip: 2, rate: 1000 * megabit },
  { name: 'wifi', roundTrip: 5, rate: 20 * megabit },
  { name: 'wan', roundTrip: 50, rate: 50 * megabit },
]

export const linkNamed = (name: Link['name']): Link => {
  const found = links.find((link) => link.name === name)
  if (!found) throw new Error(`no link ${name}`)
  return found
}

/** What went over one line: `up` is from the workstation. `first`: when the first connection came, ms since 1970. */
export interface Traffic {
  readonly connections: number
  readonly up: number
  readonly down: number
  /** times that the workstation sent something after having heard something, the login included */
  readonly turns: number
  readonly first: number
}

export type End = 'forge' | 'dave'
const ends: readonly End[] = ['forge', 'dave']
const portOf = (link: Link, end: End) => 2200 + 10 * links.indexOf(link) + ends.indexOf(end)

/** For the workstation's ssh_config: `dave-wan` is dave at the end of that line. */
export const sshConfig = links
  .flatMap((link) =>
    ends.map((end) =>
      [
        `Host ${end}-${link.name}`,
        '  HostName outside.lab',
        `  Port ${portOf(link, end)}`,
        `  HostKeyAlias ${end}.lab`,
        `  User ${end === 'forge' ? 'builder' : 'my_username'}`,
        '',
      ].join('\n'),
    ),
  )
  .join('')

export interface Lines {
  /** Since it was last asked. */
  take(link: Link): Promise<Readonly<Record<End, Traffic>>>
  close(): void
}

export function openLinks(): Lines {
  const routes = links.flatMap((link) =>
    ends.map((end) =>
      JSON.stringify({
        listen: portOf(link, end),
        host: address(end),
        port: 22,
        delay: link.roundTrip / 2,
        rate: link.rate,
      }),
    ),
  )
  const [program = '', ...rest] = onTheNetwork([process.execPath, join(import.meta.dirname, 'link.mjs'), ...routes])
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async take(link) {
      child.stdin.write('take\n')
      const { value, done } = await answers.next()
      if (done) throw new Error('the links are gone')
      const byPort = JSON.parse(value) as Record<string, Traffic>
      const of = (end: End) => byPort[String(portOf(link, end))] as Traffic
      return { forge: of('forge'), dave: of('dave') }
    },
    close: () => child.stdin.end(),
  }
}
