import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { HostProgram } from '../../lib/activation/host-program.ts'
import { doctorLines } from '../../lib/cli/doctor-lines.ts'
import type { Clock } from '../../lib/clock.ts'
import { diagnoseHost } from '../../lib/deployment/doctor/doctor.ts'
import { examineHost, examineMachine, type MachineFacts } from '../../lib/deployment/doctor/examine.ts'
import { bad, careful, good } from '../../lib/deployment/doctor/finding.ts'
import { builderChecks, hostChecks } from '../../lib/deployment/doctor/index.ts'
import type { HostSubject } from '../../lib/deployment/doctor/subject.ts'
import type { Tools } from '../../lib/deployment/tools.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import type { Host } from '../../lib/inventory/inventory.ts'
import { commandLine } from '../../lib/machine/command.ts'
import type { Machine } from '../../lib/machine/machine.ts'
import { plain } from '../../lib/screen/line.ts'
import { widthOf } from '../../lib/screen/width.ts'

const clock: Clock = { monotonic: () => performance.now(), now: () => new Date(), sleep: (ms) => after(ms) }
const asking = { clock, signal: new AbortController().signal, substituters: true }

/** This computer as a machine, with programs of its own in front of the others, and any shell. */
function machineWith(t: Test, programs: Record<string, string>, shell = '/bin/sh') {
  const home = mkdtempSync(join(tmpdir(), 'doctor-test-'))
  t.teardown(() => rmSync(home, { recursive: true }))
  mkdirSync(join(home, 'bin'))
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(home, 'bin', name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(home, 'bin', name), 0o755)
  }
  const env = { HOME: home, PATH: `${home}/bin:/usr/bin:/bin`, TMPDIR: home }
  const machine = localMachine({ name: 'forge', env })
  t.teardown(() => machine.close())
  let commands = 0
  const run: Machine['run'] = (command, options) => {
    commands += 1
    return machine.run({ argv: [shell, '-c', commandLine(command, 'none')] }, options)
  }
  return { machine: { ...machine, run }, commands: () => commands, home }
}

const nix = (settings: string) => `
case $* in
  --version) echo 'nix (Nix) 2.26.3' ;;
  *'config show'*) cat <<'END'
${settings}
END
  ;;
  *'--store https://silent.lab'*) exit 1 ;;
esac`

t.test('a machine is asked once, in any shell, and tells what it is', async (t) => {
  for (const shell of ['/bin/sh', '/bin/bash', '/bin/dash']) {
    const settings = [
      'access-tokens = github.com=secret',
      'builders = ssh://a x86_64-linux',
      'ssh://b aarch64-linux,armv7l-linux /root/key',
      'extra-platforms = i686-linux',
      'substituters = https://me:password@cache.lab https://silent.lab',
      'system = x86_64-linux',
      'trusted-public-keys = ',
    ]
    const { machine, commands, home } = machineWith(t, { nix: nix(settings.join('\n')) }, shell)
    const facts = await examineMachine(machine, asking)
    t.equal(commands(), 1)
    t.match(facts, { startUpOutput: '', nixVersion: '2.26.3', storeAnswers: true, unwritable: undefined })
    t.equal(facts.settings.get('builders'), 'ssh://a x86_64-linux\nssh://b aarch64-linux,armv7l-linux /root/key')
    t.notOk(facts.settings.has('access-tokens'), 'secrets of nix.conf stay there')
    t.same(facts.substituters.map(({ answers }) => answers).sort(), [false, true])
    t.ok((facts.freeForSources ?? 0) > 0)
    const told = builderChecks.flatMap((check) => check.look({ facts, wanted: new Map() }) ?? [])
    t.notMatch(JSON.stringify(told), /password|secret/)
    t.match(
      told.find(({ text }) => text.startsWith('no answer')),
      { level: 'careful', text: 'no answer from https://silent.lab' },
    )
    t.same(readdirSync(home), ['bin'], 'nothing stays behind')
  }
})

t.test('a clock that is wrong is told, and by how much', async (t) => {
  for (const [seconds, text] of [
    [400, /^its clock is 6 min \d+ s ahead of the one here$/],
    [-86_400 * 3.5, /^its clock is 3 days behind the one here$/],
    [0, 'agrees with the clock here'],
    [10, 'agrees with the clock here'],
  ] as const) {
    const { machine } = machineWith(t, { date: `exec /bin/date -d '${seconds} seconds' "$@"` })
    const facts = await examineMachine(machine, asking)
    const found = builderChecks.find(({ about }) => about === 'clock')?.look({ facts, wanted: new Map() })
    t.match(found, { text, level: Math.abs(seconds) > 30 ? 'careful' : 'good' })
  }
})

t.test('what a shell prints by itself is told apart from the answer', async (t) => {
  const { machine } = machineWith(t, {})
  const talkative: Machine['run'] = ({ argv }, options) =>
    machine.run({ argv: ['/bin/sh', '-c', 'echo "good morning"; exec "$@"', 'sh', ...argv] }, options)
  const facts = await examineMachine({ ...machine, run: talkative }, asking)
  t.equal(facts.startUpOutput, 'good morning')
  t.match(builderChecks[0]?.look({ facts, wanted: new Map() }), { level: 'bad', detail: 'good morning' })
  const dumb: Machine['run'] = (_command, options) => machine.run({ argv: ['false'] }, options)
  await t.rejects(examineMachine({ ...machine, run: dumb }, asking), {
    message: 'forge did not answer to the end (exit code 1)',
  })
})

t.test('where nobody becomes root, the host is asked in the same command for what anybody may know', async (t) => {
  const { machine, commands } = machineWith(t, { sudo: 'echo "sudo: a password is required" >&2; exit 1' })
  const hostProgram = 'echo "root no"; echo end' as HostProgram
  const facts = await examineHost(machine, hostProgram, { ...asking, elevation: 'passwordless' })
  t.equal(commands(), 1)
  t.match(facts, { state: { isRoot: false }, elevationOutput: 'sudo: a password is required' })
  const subject = { host: { elevation: 'passwordless' }, facts, now: new Date() } as unknown as HostSubject
  t.match(hostChecks.find(({ about }) => about === 'root')?.look(subject), {
    level: 'bad',
    text: /^\S+ cannot become root without a password$/,
    detail: 'sudo: a password is required',
  })
})

t.test('keys that cannot be asked about hide nothing else, and are not asked about without root', async (t) => {
  const diagnose = async (root: 'yes' | 'no') => {
    const { machine } = machineWith(t, {})
    const tools = {
      clock,
      signal: asking.signal,
      program: `echo "root ${root}"; echo end`,
      network: { connect: async () => machine },
      keys: { builders: new Map(), program: async () => 'echo "no room" >&2; exit 73' },
    } as unknown as Tools
    const copy = { substitute: false }
    const host = { name: 'dave', destination: 'dave', elevation: 'none', copy, nixbuildKeys: ['root'] }
    return (await diagnoseHost(host as unknown as Host, tools)).findings
  }
  const findings = await diagnose('yes')
  t.match(
    findings.find(({ about }) => about === 'nixbuild.net keys'),
    { level: 'careful', text: 'the host could not be asked about its keys (exit code 73)' },
  )
  t.ok(findings.some(({ about }) => about === 'Nix'))
  t.notOk(findings.some(({ about }) => about === 'question'))
  t.notOk((await diagnose('no')).some(({ about }) => /keys?/.test(about)))
})

/** What is not good of a builder with these facts, which are otherwise those of a good one. */
const builder = (facts: Partial<MachineFacts>, wanted: Record<string, string[]> = {}) => {
  const subject = {
    facts: {
      user: 'ops',
      startUpOutput: '',
      tools: new Set(['nix', 'nix-daemon', 'git', 'tar']),
      nixVersion: '2.26.3',
      storeAnswers: true,
      settings: new Map([['system', 'x86_64-linux']]),
      machineFile: [],
      freeInStore: 50e9,
      freeInodes: 1e6,
      freeForSources: 50e9,
      unwritable: undefined,
      substituters: [],
      clockAhead: { least: -1, most: 1 },
      ...facts,
    },
    wanted: new Map(Object.entries(wanted)),
  }
  return builderChecks.flatMap(({ about, look }) => {
    const found = look(subject)
    return found && found.level !== 'good' ? [`${found.level} ${about}: ${found.text}`] : []
  })
}

t.test('a builder builds what it is itself, what it emulates, and what its own builders build', (t) => {
  const wanted = { 'aarch64-linux': ['dave', 'erin'] }
  const settings = (more: Record<string, string>) => new Map(Object.entries({ system: 'x86_64-linux', ...more }))
  t.same(builder({}, { 'x86_64-linux': ['frank'] }), [])
  t.same(builder({}, wanted), ['bad systems: it builds x86_64-linux, not aarch64-linux (dave, erin)'])
  t.same(builder({ settings: settings({ 'system-features': 'kvm big-parallel' }) }), [])
  const small = settings({ 'system-features': 'kvm', builders: '@/etc/nix/machines' })
  t.same(builder({ settings: small }), [
    'careful features: it has not the feature big-parallel, without which it builds no kernel',
  ])
  t.same(builder({ settings: small, machineFile: ['ssh://b i686-linux'] }), [])
  t.same(builder({ settings: settings({ 'extra-platforms': 'aarch64-linux i686-linux' }) }, wanted), [])
  const builders = 'ssh://a - ; ssh-ng://b armv7l-linux,aarch64-linux k'
  t.same(builder({ settings: settings({ builders }) }, wanted), [])
  const machineFile = ['# ssh://a aarch64-linux', '', 'ssh://b i686-linux']
  t.equal(builder({ settings: settings({ builders: '@/etc/nix/machines' }), machineFile }, wanted).length, 1)
  t.same(builder({ settings: settings({ builders: '@/f' }), machineFile: ['ssh://b aarch64-linux'] }, wanted), [])
  t.end()
})

t.test('what is missing on a builder is told in the order in which it would be mended', (t) => {
  t.same(builder({}), [])
  t.same(
    builder({
      tools: new Set(['nix', 'nix-daemon', 'tar']),
      nixVersion: '2.3.16',
      storeAnswers: false,
      unwritable: '/home/ops',
      freeInStore: 1e6,
    }),
    [
      'bad programs: it has no git',
      'bad Nix: its Nix is 2.3.16, and 2.8 is the oldest that is tried',
      'bad store: the Nix store does not answer ops',
      'bad sources: ops cannot write to /home/ops, where sources are kept',
      'bad disk: 1.0 MB free in /nix/store',
    ],
  )
  t.same(builder({ nixVersion: '2.91.1' }), [], 'Lix')
  t.same(builder({ freeInodes: 10 }), ['bad disk: 50.0 GB free in /nix/store, and room for 10 more files'])
  const substituters = new Map([['substituters', 'https://cache.lab']])
  t.match(builder({ settings: substituters }), [/^careful substituters: .* no trusted-public-keys/])
  t.end()
})

t.test('a diagnosis is readable at any width, and short where all is well', (t) => {
  const findings = [
    { about: 'login', ...good('ops at dave.lab, whose host key is known') },
    { about: '/boot', ...bad('2.0 MB free on /boot: another kernel and initrd would not fit', '`deploy clean dave`') },
    { about: 'clock', ...careful('its clock is 3 min 2 s ahead', 'look at both with `timedatectl`') },
  ]
  for (const columns of [30, 80, 200]) {
    for (const line of doctorLines('dave', { findings }, { columns, verbose: true }).slice(1)) {
      t.ok(widthOf(plain(line)) <= columns, plain(line))
    }
  }
  t.same(doctorLines('dave', { findings }, { columns: undefined, verbose: false }).map(plain), [
    '✗ dave  not ready  1 problem, 1 warning',
    '    ✗ /boot: 2.0 MB free on /boot: another kernel and initrd would not fit',
    '    hint: `deploy clean dave`',
    '    ! clock: its clock is 3 min 2 s ahead',
    '    hint: look at both with `timedatectl`',
  ])
  t.same(doctorLines('dave', { findings: findings.slice(0, 1) }, { columns: 80, verbose: false }).map(plain), [
    '✓ dave  ready',
  ])
  t.end()
})
