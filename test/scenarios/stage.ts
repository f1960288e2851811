/** The stage for scenarios: a control machine without Nix, a builder and hosts, and a flake to change. */
import { spawn } from 'node:child_process'
import type { Test } from 'tap'
import type { Outcome } from '../../lib/deployment/outcome.ts'
import * as lab from '../lab/lab.mjs'

/** What `deploy` printed, and its exit code. */
export interface Told {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** with --json: by host */
  readonly outcomes: Readonly<Record<string, Outcome>>
}

/** What is true of a host, seen from inside it without SSH. */
export interface Facts {
  readonly running: string
  readonly booted: string
  readonly profile: string
  /** the toplevel that the boot loader names */
  readonly boot: string
  /** number -> system */
  readonly generations: Readonly<Record<string, string>>
  /** a checksum for each file of the boot loader and each kernel, and its path */
  readonly bootFiles: readonly string[]
  /** names of active services, sockets and timers that come from the system's own /etc */
  readonly activeUnits: readonly string[]
  readonly failedUnits: readonly string[]
  /** locks, deployment directories, units, jobs, roots, temporary files: everything that a deployment may not leave */
  readonly leftBehind: readonly string[]
  /** lines of the host's history */
  readonly history: readonly Record<string, string>[]
}

const inventoryOf = (hosts: readonly string[], fields: Record<string, unknown>) => ({
  flake: '.',
  builders: { forge: { ssh: 'forge' } } as Record<string, unknown>,
  defaults: {
    builder: 'forge' as string | string[],
    system: 'x86_64-linux',
    activation: { timeout: '60s', confirmWithin: '40s', settle: '1s', rebootWithin: '300s' },
    // The big paths of the lab's flake are zeros, and tests count what of them has gone.
    copy: { compress: 'never' },
    ...fields,
  },
  hosts: Object.fromEntries(hosts.map((host) => [host, { ssh: `my_username@${host}.lab` }])),
})

export type InventoryText = ReturnType<typeof inventoryOf>

export interface StageOptions {
  /** dave when left out */
  readonly hosts?: readonly string[]
  /** machines besides control, forge and the hosts */
  readonly others?: readonly string[]
  /** fields of `defaults:` */
  readonly defaults?: Record<string, unknown>
  /** false: machines keep the disks that they have */
  readonly fresh?: boolean
}

/** Machines with new disks, and an inventory for the hosts. */
export async function setStage(options: StageOptions = {}): Promise<Stage> {
  const hosts = options.hosts ?? ['dave']
  const names = ['control', 'forge', ...hosts, ...(options.others ?? [])]
  if (options.fresh === false) await lab.up(names)
  else await lab.fresh(names)
  await lab.putFlake('control', '/home/ops/infra', { hosts })
  const stage = new Stage(inventoryOf(hosts, options.defaults ?? {}))
  await stage.writeInventory()
  return stage
}

export class Stage {
  /** Change it, then `writeInventory`. */
  inventory: InventoryText

  constructor(inventory: InventoryText) {
    this.inventory = inventory
  }

  /** JSON is YAML. Tracked by git, so that there is no warning of an untracked file. */
  async writeInventory(): Promise<void> {
    await this.onControl(
      'cat > infra/hosts.yaml && git -C infra add hosts.yaml',
      JSON.stringify(this.inventory, null, 2),
    )
  }

  /** Fields of one host in the inventory. */
  async describeHost(host: string, fields: Record<string, unknown>): Promise<void> {
    const hosts = this.inventory.hosts as Record<string, Record<string, unknown>>
    hosts[host] = { ...hosts[host], ...fields } as never
    await this.writeInventory()
  }

  /** The lab flake's knobs for one host (test/lab/flake/README.md), in place of what was set before. */
  async configure(host: string, knobs: Record<string, unknown>): Promise<void> {
    const file = `hosts/${host}.override.json`
    await this.onControl(`cat > infra/${file} && git -C infra add ${file}`, JSON.stringify(knobs))
  }

  /** A shell script as the user on the control machine; must succeed. */
  async onControl(script: string, input = ''): Promise<string> {
    const result = await lab.ssh('control', script, { input })
    if (result.code !== 0) throw new Error(`on control: ${script}: ${result.stderr}`)
    return result.stdout
  }

  /** Root's shell on a machine, through the side door; must succeed. */
  async inside(machine: string, script: string): Promise<string> {
    const result = await lab.inside(machine, script)
    if (result.code !== 0) throw new Error(`inside ${machine}: ${script}: ${result.stdout}${result.stderr}`)
    return result.stdout
  }

  /** Runs `deploy ARGUMENTS` in the flake's directory on control, as its user. Words are plain: letters, -, @, =, ., /. */
  async deploy(...words: readonly string[]): Promise<Told> {
    return this.start(...words).finished
  }

  /** The same, under way. `--json` is added unless the words have it or `--plain` (which is taken away). */
  start(...words: readonly string[]): Running {
    const plain = words.includes('--plain')
    const argv = [
      ...words.filter((word) => word !== '--plain'),
      ...(plain || words.includes('--json') ? [] : ['--json', '-v']),
    ]
    return startDeploy(argv)
  }

  /** The summary's only host. */
  async deployHost(host: string, ...words: readonly string[]): Promise<Told & { outcome: Outcome }> {
    const told = await this.deploy(host, ...words)
    const outcome = told.outcomes[host]
    if (!outcome) throw new Error(`no outcome for ${host}: exit code ${told.code}\n${told.stdout}\n${told.stderr}`)
    return { ...told, outcome }
  }

  async facts(host: string): Promise<Facts> {
    const text = await this.inside(host, factsScript)
    const lines = text.split('\n')
    const of = (key: string) =>
      lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1))
    return {
      running: of('running')[0] ?? '',
      booted: of('booted')[0] ?? '',
      profile: of('profile')[0] ?? '',
      boot: of('boot')[0] ?? '',
      bootFiles: of('boot-file').sort(),
      generations: Object.fromEntries(of('generation').map((line) => line.split(' ') as [string, string])),
      activeUnits: of('active').sort(),
      failedUnits: of('failed').sort(),
      leftBehind: of('left'),
      history: of('history').flatMap(wholeLine),
    }
  }
}

/** None for half a line, from when the disk was full; zeros are what a power cut may leave of one. */
function wholeLine(line: string): Record<string, string>[] {
  return line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line) as Record<string, string>] : []
}

/** The host is exactly as it was: same systems everywhere, same units, nothing left behind. Only history has grown. */
export function sameAsBefore(t: Test, before: Facts, after: Facts): void {
  const { history: past, ...was } = before
  const { history, ...is } = after
  t.same(is, was, 'the host is exactly as before')
  t.same(history.slice(0, past.length), past, 'history only grows')
}

// What a deployment was told by is still ending a moment later. A user's session ends by itself as well, after each
// connection: its jobs are logind's. The socket of Nix's daemon is what has to be there: the daemon comes when it is asked.
const factsScript = `
n=0
while [ ! -L /run/deploy/lock ] && [ $n -lt 100 ] && systemctl list-units --all --no-legend --plain 'deploy-*' | grep -q .; do
  n=$((n + 1))
  sleep 0.1
done
echo "running $(readlink -f /run/current-system)"
echo "booted $(readlink -f /run/booted-system)"
echo "profile $(readlink -f /nix/var/nix/profiles/system)"
options_of_default() {
  if [ -e /boot/loader/loader.conf ]; then
    grep '^options' "/boot/loader/entries/$(awk '$1 == "default" { print $2 }' /boot/loader/loader.conf)"
  else
    label=$(awk '$1 == "DEFAULT" { print $2 }' /boot/extlinux/extlinux.conf)
    awk -v label="$label" '$1 == "LABEL" { at = $2 } at == label && $1 == "APPEND" { print }' /boot/extlinux/extlinux.conf
  fi
}
echo "boot $(options_of_default | sed -n 's|.*init=\\(/nix/store/[^/ ]*\\)/init.*|\\1|p')"
# systemd-boot writes another seed at every boot
find /boot -type f ! -name random-seed -exec md5sum {} + | sed 's/^/boot-file /'
for link in /nix/var/nix/profiles/system-*-link; do
  [ -L "$link" ] || continue
  number=\${link##*/system-}
  echo "generation \${number%-link} $(readlink "$link")"
done
systemctl list-units --no-legend --plain --state=active --type=service,socket,timer | awk '{ print $1 }' |
  while read -r unit; do [ "$unit" != nix-daemon.service ] && [ -e "/etc/systemd/system/$unit" ] && echo "active $unit"; done
systemctl list-units --no-legend --plain --state=failed | awk '{ print "failed", $1 }'
{
  ls -A /run/deploy 2>/dev/null | grep -vxE 'mutex|result|boot-checked' | sed 's|^|/run/deploy/|'
  ls /nix/var/nix/gcroots/auto/ | grep '^deploy-'
  systemctl list-units --all --no-legend --plain 'deploy-*' | awk '{ print "unit", $1, $3 }'
  systemctl list-jobs --no-legend --plain | grep -v -E ' user(-runtime-dir)?@[0-9]+\\.service '
  ls -A /nix/var/nix/profiles | grep -v -E '^(system|system-[0-9]+-link|per-user|default)$'
  ls -A /boot /boot/extlinux /boot/nixos /boot/loader /boot/loader/entries /boot/EFI/nixos 2>/dev/null | grep -E 'deploy|tmp'
  ls /sys/firmware/efi/efivars 2>/dev/null | grep LoaderEntryOneShot
  ls /run/nixos | grep -E -- '-list$'
  ls -A /var/lib/deploy 2>/dev/null | grep -vxE 'history|log|accepted-keys'
  ls -A /etc/systemd/system.control 2>/dev/null | sed 's|^|/etc/systemd/system.control/|'
} | sed 's/^/left /'
sed 's/^/history /' /var/lib/deploy/history 2>/dev/null || true
`

export interface Running {
  readonly finished: Promise<Told>
  /** Resolves when what was printed on stderr so far matches; rejects when it ended before. */
  until(pattern: RegExp): Promise<void>
  /** What was printed on stderr so far. */
  toldSoFar(): string
  /** Sends a signal to the deploy process on control; INT to all that it started too, as a terminal does. */
  signal(name: 'KILL' | 'TERM' | 'INT' | 'HUP'): Promise<void>
}

function startDeploy(argv: readonly string[]): Running {
  // The process id is told first, so that exactly this process can be signalled.
  const script = `cd infra && echo "pid $$" >&2 && exec deploy ${argv.join(' ')}`
  const [program = '', ...rest] = [...lab.sshCommand('control'), '--', script]
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  const waiting = new Set<() => void>()
  const tell = () => {
    for (const look of waiting) look()
  }
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
    tell()
  })
  let ended = false
  const finished = new Promise<Told>((resolve) => {
    child.on('close', (code) => {
      ended = true
      tell()
      resolve({ code: code ?? -1, stdout, stderr, outcomes: outcomesIn(stdout) })
    })
  })
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (pattern.test(stderr)) resolve()
        else if (ended) reject(new Error(`deploy ended before ${pattern}:\n${stderr}\n${stdout}`))
        else return
        waiting.delete(look)
      }
      waiting.add(look)
      look()
    })
  return {
    finished,
    until,
    toldSoFar: () => stderr,
    async signal(name) {
      await until(/^pid \d+$/m)
      const pid = /^pid (\d+)$/m.exec(stderr)?.[1]
      await lab.inside('control', `kill -${name} ${name === 'INT' ? '-' : ''}${pid}`)
    },
  }
}

function outcomesIn(stdout: string): Record<string, Outcome> {
  try {
    const { outcomes } = JSON.parse(stdout) as { outcomes?: Outcome[] }
    return Object.fromEntries((outcomes ?? []).map((outcome) => [outcome.host, outcome]))
  } catch {
    return {}
  }
}
