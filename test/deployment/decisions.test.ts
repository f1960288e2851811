import t from 'tap'
import { parseHostState } from '../../lib/activation/host-state.ts'
import { missingOnBoot } from '../../lib/deployment/boot-room.ts'
import { refuseUnfit } from '../../lib/deployment/fitness.ts'
import { endingOf, nothingYet } from '../../lib/deployment/outcomes.ts'
import type { Transacted } from '../../lib/deployment/transact.ts'
import { formatBytes, formatDuration } from '../../lib/format.ts'
import { exitCode, type OutcomeKind } from '../../lib/deployment/outcome.ts'
import { previousGeneration } from '../../lib/deployment/previous-generation.ts'
import { stepsTo } from '../../lib/deployment/steps.ts'
import { refuseUnsupported } from '../../lib/deployment/supported.ts'
import type { Host } from '../../lib/inventory/inventory.ts'
import { readInventory } from '../../lib/inventory/read.ts'
import { Problem } from '../../lib/problem.ts'

const state = (lines: string[]) => parseHostState(lines.join('\n'))
const system = (name: string) => `/nix/store/0123456789abcdfghijklmnpqrsvwxyz-${name}`

t.test(
  'a host lacks nothing only when running system, profile and boot default are all the one asked for',
  async (t) => {
    const at = (running: string, profile: string, boot: string) =>
      state([
        `running ${system(running)}`,
        `profile ${system(profile)}`,
        boot ? `boot ${system(boot)}` : 'boot unknown',
      ])
    const goal = { system: system('b'), toplevel: system('b'), reboot: 'never' as const }
    t.equal(stepsTo({ ...goal, mode: 'switch' }, at('b', 'b', 'b')), 'none')
    t.equal(stepsTo({ ...goal, mode: 'switch' }, at('b', 'b', '')), 'none', 'a boot loader that cannot be read')
    t.equal(stepsTo({ ...goal, mode: 'switch' }, at('b', 'a', 'a')), 'make permanent')
    t.equal(stepsTo({ ...goal, mode: 'switch' }, at('b', 'b', 'a')), 'make permanent')
    t.equal(stepsTo({ ...goal, mode: 'switch' }, at('a', 'b', 'b')), 'activate')
    const unbooted = { ...at('b', 'b', 'b'), notBooted: ['kernel'] }
    t.equal(stepsTo({ ...goal, mode: 'switch' }, unbooted), 'none')
    t.equal(stepsTo({ ...goal, mode: 'switch', reboot: 'when-needed' }, unbooted), 'reboot')
    t.equal(stepsTo({ ...goal, mode: 'switch', reboot: 'when-needed' }, at('b', 'b', 'b')), 'none')
    t.equal(stepsTo({ ...goal, mode: 'test', reboot: 'when-needed' }, unbooted), 'none')
    t.equal(stepsTo({ ...goal, mode: 'boot' }, at('a', 'b', 'b')), 'none')
    t.equal(stepsTo({ ...goal, mode: 'boot' }, at('b', 'a', 'a')), 'make permanent')
    t.equal(stepsTo({ ...goal, mode: 'test' }, at('b', 'a', 'a')), 'none')
  },
)

t.test('going back goes one system back, however often, and never forth again', async (t) => {
  const generations = (profile: string, ...systems: string[]) =>
    state([
      `running ${system(profile)}`,
      `profile ${system(profile)}`,
      ...systems.map((name, index) => `generation-link ${index + 1} 0 ${system(name)}`),
    ])
  t.equal(previousGeneration(generations('c', 'a', 'b', 'c')).system, system('b'))
  t.equal(previousGeneration(generations('b', 'a', 'b', 'c', 'b')).system, system('a'))
  t.throws(() => previousGeneration(generations('a', 'a', 'b', 'a')), Problem)
  t.throws(() => previousGeneration(generations('a', 'a')), { message: /no older system/ })
  t.equal(
    previousGeneration(state([`running ${system('x')}`, `generation-link 1 0 ${system('a')}`])).system,
    system('a'),
    'a running system that is in no profile',
  )
})

t.test('the exit code tells the worst of it', async (t) => {
  const table: [OutcomeKind[], number][] = [
    [['deployed', 'unchanged', 'staged', 'tested'], 0],
    [['deployed', 'rolled back'], 1],
    [['untouched'], 1],
    [['left to roll back', 'unreachable'], 1],
    [['needs hands', 'rolled back', 'interrupted'], 3],
    [['unreachable', 'locked', 'deployed'], 4],
    [['interrupted', 'rolled back'], 130],
    [[], 0],
  ]
  for (const [kinds, code] of table) t.equal(exitCode(kinds), code, kinds.join(', '))
  t.equal(exitCode(['untouched', 'rolled back'], true), 70, 'a mistake of ours')
  t.equal(exitCode(['untouched', 'needs hands'], true), 3)
})

t.test('a host that says only half is understood as far as it goes', async (t) => {
  const half = state([
    'root yes',
    'lock 20260101t000000-abc',
    'lock-alive no',
    'pending-state awaiting',
    'generation-link x y',
    'generation',
  ])
  t.match(half, { isRoot: true, isNixos: false, boot: 'unknown', generation: undefined, generations: { length: 0 } })
  t.match(half.lock, { id: '20260101t000000-abc', alive: false, state: 'awaiting', secondsLeft: undefined })
})

t.test('numbers are written for people', async (t) => {
  t.equal(formatBytes(0), '0 B')
  t.equal(formatBytes(999), '999 B')
  t.equal(formatBytes(2_650_000), '2.6 MB')
  t.equal(formatBytes(123_456_789), '123 MB')
  t.equal(formatDuration(420), '0.4 s')
  t.equal(formatDuration(61_000), '61 s')
  t.equal(formatDuration(200_000), '3 min 20 s')
})

t.test('what hosts.yaml can say and cannot be done yet is refused by name', async (t) => {
  const host = readInventory(
    'hosts: {dave: {ssh: dave, system: x86_64-linux, copy: {via: direct}}}',
    '/etc/hosts.yaml',
  ).hosts.get('dave') as Host
  t.throws(() => refuseUnsupported([host]), {
    kind: 'usage',
    host: 'dave',
    message: 'copying by direct is not possible',
  })
  t.doesNotThrow(() => refuseUnsupported([{ ...host, copy: { ...host.copy, via: 'relay' } }]))
})

t.test('a kernel and an initrd that the boot loader has already need no room', async (t) => {
  const kernel = { path: '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-linux-7.0/bzImage', size: 12_000_000 }
  const initrd = { path: '/nix/store/1123456789abcdfghijklmnpqrsvwxyz-initrd/initrd', size: 20_000_000 }
  const has = '0123456789abcdfghijklmnpqrsvwxyz-linux-7.0-bzImage'
  const on = (loader: string, free: number, ...names: string[]) =>
    state([`boot-loader ${loader}`, `free-boot ${free}`, ...names.map((name) => `boot-file ${name}`)])
  const both = [kernel, initrd]
  t.same(missingOnBoot(on('extlinux', 30e6), both), { needed: 32e6, missing: 2e6, certain: true })
  t.same(missingOnBoot(on('systemd-boot', 0, has), both), { needed: 20e6, missing: 20e6, certain: false })
  t.equal(missingOnBoot(on('extlinux', 32e6), both), undefined)
  t.equal(missingOnBoot(on('extlinux', 20e6, has), both), undefined)
  t.equal(missingOnBoot(on('extlinux', 0), []), undefined, 'the builder could not tell')
  t.equal(missingOnBoot(state(['boot-loader grub']), both), undefined, 'GRUB reads them from the store')
  const trees = [...both, { path: '/nix/store/0-dtbs-filtered', size: 5e6, areDeviceTrees: true }]
  t.match(missingOnBoot(on('extlinux', 32e6), trees), { needed: 37e6, missing: 5e6 })
  t.equal(missingOnBoot(on('systemd-boot', 32e6), trees), undefined, 'the firmware has its own')
})

t.test('of a host that has no record of the end, what runs is told, and no more', (t) => {
  const gathered = { ...nothingYet(), toplevel: system('new'), system: system('new'), bootId: 'this boot' }
  const end = (running: string, boot: string, more: object) => {
    const lines = { running: system(running), profile: system(boot), boot: system(boot), bootId: 'this boot' }
    const result = { end: 'unknown', reason: '', notBootedYet: [], advice: '', stillWrong: '', ...lines, ...more }
    return (acted: boolean) =>
      endingOf({ kind: 'ended', hasActed: acted, result } as unknown as Transacted, gathered, system('old'))
  }
  t.match(end('old', 'old', {})(false), { kind: 'untouched', reason: /before the activation began/ })
  t.match(end('old', 'old', {})(true), { kind: 'rolled back', reason: /has no record of why/ })
  t.match(end('old', 'old', { bootId: 'another' })(true), { kind: 'rolled back', reason: /^the host restarted before/ })
  t.match(end('new', 'new', {})(true), { kind: 'deployed' })
  t.match(end('other', 'other', {})(true), { kind: 'needs hands' })
  t.end()
})

t.test('a host whose disk became read-only is refused, and told what to look at', (t) => {
  const lines = ['root yes', 'nixos yes', 'systemd yes', 'machine x86_64', `running ${system('a')}`]
  const host = { system: 'x86_64-linux' } as Host
  t.doesNotThrow(() => refuseUnfit(host, state(lines)))
  const problem = t.throws(() => refuseUnfit(host, state([...lines, 'read-only /nix/var/nix/profiles'])))
  t.match(problem, { message: /cannot write to \/nix\/var\/nix\/profiles: .*read-only/, hints: [/dmesg/] })
  t.end()
})
