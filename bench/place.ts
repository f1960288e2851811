/**
 * Where it is measured: forge builds, dave is the host, and both `deploy` and the other tools run on the workstation,
 * side by side. Unlike the lab's control machine that one has Nix, since the others need it there. dave's Nix trusts the
 * user who logs in, or the others could not copy what nobody signed.
 */
import * as lab from '../test/lab/lab.mjs'
import { type Link, links, openLinks, sshConfig, type Traffic } from './links.ts'

export interface Took {
  /** wall time, milliseconds */
  readonly ms: number
  /** the most that the process on the workstation held, bytes */
  readonly held: number
  readonly stdout: string
  readonly traffic: { readonly forge: Traffic; readonly dave: Traffic }
  /** what dave held more than before, at most, bytes */
  readonly grown: number
  /** when it was started, ms since 1970 */
  readonly started: number
}

export interface Place {
  /** A command of the workstation's user, in the flake's directory; must succeed. What goes over that link is counted. */
  timed(command: string, link: Link): Promise<Took>
  /** The same without measuring. */
  run(script: string, input?: string): Promise<string>
  /** Root's shell on a machine; must succeed. */
  inside(machine: string, script: string, input?: string | Buffer): Promise<string>
  /** The lab flake's knobs for dave, in place of what was set before. */
  configure(knobs: Record<string, unknown>): Promise<void>
  close(): void
}

const trusting = { nix: { settings: { 'trusted-users': 'root my_username' } } }
const flake = '/home/ops/infra'

const inventory = {
  flake: '.',
  builders: Object.fromEntries(links.map(({ name }) => [`forge-${name}`, { ssh: `forge-${name}` }])),
  defaults: { system: 'x86_64-linux', activation: { timeout: '60s', confirmWithin: '40s', settle: '0s' } },
  hosts: Object.fromEntries(
    links.map(({ name }) => [`dave-${name}`, { ssh: `dave-${name}`, builder: `forge-${name}`, configuration: 'dave' }]),
  ),
}

export async function openPlace(say: (line: string) => void): Promise<Place> {
  await lab.up(['workstation', 'forge', 'dave'], { say })
  await lab.putFlake('workstation', flake)
  const lines = openLinks()

  async function inside(machine: string, script: string, input: string | Buffer = ''): Promise<string> {
    const { code, stdout, stderr } = await lab.inside(machine, script, { input })
    if (code !== 0) throw new Error(`inside ${machine}: ${script.slice(0, 300)}: ${stdout}${stderr}`)
    return stdout
  }

  const asUser = (script: string, input = '') =>
    lab.inside('workstation', ['runuser', '--login', '-s', '/bin/bash', '-c', `cd ${flake}\n${script}`, 'ops'], {
      input,
    })

  async function run(script: string, input?: string): Promise<string> {
    const { code, stdout, stderr } = await asUser(script, input)
    if (code !== 0)
      throw new Error(`on the workstation: ${script.slice(0, 500)}: ${stdout.slice(-3000)}${stderr.slice(-3000)}`)
    return stdout
  }

  async function timed(command: string, link: Link): Promise<Took> {
    await lines.take(link)
    const memory = lab.watchMemory('dave')
    // `time` knows of no fractions below 10 ms, but of memory
    const script = `
      cat > /tmp/command
      start=$(date +%s%N)
      /usr/bin/time --quiet --format=%M --output=/tmp/held bash -e /tmp/command; code=$?
      end=$(date +%s%N)
      echo; echo "took $start $end $(tail -n 1 /tmp/held)"
      exit $code`
    const printed = await run(script, command).finally(() => memory.stop())
    const { idle, peak } = memory.stop()
    const [, start = '', end = '', held = ''] = /^took (\d+) (\d+) (\d+)$/m.exec(printed) ?? []
    return {
      ms: Number((BigInt(end) - BigInt(start)) / 1000n) / 1000,
      held: Number(held) * 1024,
      stdout: printed.slice(0, printed.lastIndexOf('\ntook ')).trim(),
      traffic: await lines.take(link),
      grown: peak - idle,
      started: Number(BigInt(start) / 1_000_000n),
    }
  }

  const configure = async (knobs: Record<string, unknown>) => {
    const file = 'hosts/dave.override.json'
    await run(`cat > ${file} && git add ${file}`, JSON.stringify({ ...trusting, ...knobs }))
  }

  await run(
    'cat > ~/.ssh/config.links; grep -q config.links ~/.ssh/config || sed -i "1i Include config.links" ~/.ssh/config',
    sshConfig,
  )
  await run('cat > hosts.yaml && git add hosts.yaml', JSON.stringify(inventory, null, 2))
  await configure({})
  await run('deploy dave-loopback')
  return { timed, run, inside, configure, close: () => lines.close() }
}
