/** Old generations and room: nothing goes that is needed, and nothing is begun that has no room. */
import { before, test } from 'tap'
import { arm, held, holdable, type Point, release } from '../faults/hold.ts'
import * as lab from '../lab/lab.mjs'
import { type Stage, sameAsBefore, setStage } from './stage.ts'

let stage: Stage
before(async () => {
  stage = await setStage({ defaults: { activation: { timeout: '20s', confirmWithin: '14s', settle: '1s' } } })
})

/** The only host of a `--json` answer. */
async function asked(...words: readonly string[]) {
  const { code, stdout } = await stage.deploy(...words, '--json')
  const answer = JSON.parse(stdout)
  return { code, ...(answer.hosts?.[0] ?? answer) }
}

const deployed = async (knobs: Record<string, unknown>) => {
  await stage.configure('dave', knobs)
  const { outcome } = await stage.deployHost('dave')
  if (outcome.kind !== 'deployed') throw new Error(`${outcome.kind}: ${outcome.reason}`)
  return outcome
}

const labels = () => stage.inside('dave', "sed -n 's/^LABEL nixos-//p' /boot/extlinux/extlinux.conf")
const isThere = async (path: string | undefined) => (await lab.inside('dave', ['test', '-e', String(path)])).code === 0

test('old generations go with their boot entries and their bytes; what is needed stays', async (t) => {
  await deployed({ motd: 'two', bigPath: 30 })
  await deployed({ motd: 'three', bigPath: 31, kernel: { version: '7.0.0' } })
  await deployed({ motd: 'four' })
  await deployed({ motd: 'five' })
  const was = await stage.facts('dave')
  await stage.inside('dave', `ln -s ${was.generations['2']} /nix/var/nix/gcroots/mine`)

  const dry = await asked('clean', 'dave', '--keep', '1', '--older-than', '0s', '--dry-run')
  t.match(
    dry,
    { code: 0, kind: 'would clean', deleted: [{ number: 3 }], left: 4 },
    'booted, rooted, previous and current stay',
  )
  t.ok(dry.bytes > 31e6 && dry.bytes < 60e6, `${dry.bytes}`)
  t.same((await stage.facts('dave')).generations, was.generations, 'nothing went')
  t.match(await asked('clean', 'dave', '--dry-run'), { code: 0, deleted: { length: 0 } }, 'all are young')

  const memory = lab.watchMemory('dave')
  const cleaned = await asked('clean', 'dave', '--keep', '1', '--older-than', '0s')
  const { idle, peak } = memory.stop()
  t.comment(`memory: ${((peak - idle) / 1e6).toFixed(1)} MB above idle`)
  t.ok(peak - idle < 100e6, 'it costs the host little memory')
  t.match(cleaned, { code: 0, kind: 'cleaned', deleted: [{ number: 3 }], left: 4, result: { end: 'cleaned' } })
  t.ok(cleaned.bytes > 31e6, `${cleaned.bytes} bytes were freed`)
  const is = await stage.facts('dave')
  t.same(Object.keys(is.generations), ['1', '2', '4', '5'])
  t.same([is.running, is.profile, is.boot, is.leftBehind], [was.running, was.profile, was.boot, []])
  t.same((await labels()).trim().split('\n'), ['default', '5-default', '4-default', '2-default', '1-default'])
  t.notOk(
    is.bootFiles.some((line) => /7\.0\.0/.test(line)),
    'its kernel is gone from /boot',
  )
  t.notOk(await isThere(was.generations['3']))
  for (const number of ['1', '2', '4', '5']) t.ok(await isThere(was.generations[number]), number)

  const nothing = await asked('clean', 'dave', '--keep', '1', '--older-than', '0s')
  t.match(nothing, { code: 0, deleted: { length: 0 }, left: 4 })
  t.ok(nothing.bytes < 1e6, `${nothing.bytes}`)
  await stage.inside('dave', 'rm /nix/var/nix/gcroots/mine')
  const { outcome } = await stage.deployHost('dave', '--mode', 'boot')
  t.equal(outcome.kind, 'unchanged')
})

test('a boot loader that fails keeps all generations, and nothing is collected', async (t) => {
  await deployed({ motd: 'fails later' })
  const was = await stage.facts('dave')
  await stage.inside('dave', 'mount -t tmpfs -o size=4k tmpfs /boot/nixos')
  const told = await asked('clean', 'dave', '--keep', '1', '--older-than', '0s')
  t.match(told, {
    code: 1,
    deleted: { length: 0 },
    result: { end: 'untouched', reason: /^the boot loader could not be set/ },
  })
  await stage.inside('dave', 'umount /boot/nixos; rm -f /boot/nixos/*.tmp.* /boot/extlinux/*.tmp.*')
  const is = await stage.facts('dave')
  t.same([is.generations, is.boot, is.bootFiles, is.leftBehind], [was.generations, was.boot, was.bootFiles, []])
  for (const system of Object.values(was.generations)) t.ok(await isThere(system))
})

test('with generations in hosts.yaml, a confirmed deployment leaves no more than that', async (t) => {
  await stage.describeHost('dave', { generations: { keep: 3 } })
  const outcome = await deployed({ motd: 'cleans behind itself' })
  const { generations, leftBehind } = await stage.facts('dave')
  t.equal(generations[Object.keys(generations).at(-1) ?? ''], outcome.toplevel)
  t.same([Object.keys(generations).length, leftBehind], [4, []], 'three, and what was booted')
  await stage.describeHost('dave', { generations: undefined })
})

/** Where a cleaning can be held: generations taken away, the menu written, garbage about to be collected. */
const [gone, written, collecting] = ['sync-profiles', 'switched-cleaning', 'collect'].map(
  (name): Point => ({ machine: 'dave', name }),
) as [Point, Point, Point]
const holding = (number: number) => {
  const knobs = holdable(number)
  const collect = 'case "$*" in --gc) hold collect ;; esac\nexec /usr/bin/nix-store "$@"'
  return { ...knobs, programs: { ...knobs.programs, 'nix-store': collect } }
}
const oldOnes = ['clean', 'dave', '--keep', '1', '--older-than', '0s'] as const
const everyEntryIsThere = `sed -n 's|.*init=\\(/nix/store/[^ ]*\\).*|\\1|p' /boot/extlinux/extlinux.conf | xargs -n 1 test -e`

test('a cleaning that is killed at each of its steps goes on by itself', async (t) => {
  const { toplevel } = await deployed(holding(1))
  await deployed(holding(2))
  await deployed(holding(3))
  const was = await stage.facts('dave')
  for (const point of [gone, written, collecting]) await arm(point)
  const run = stage.start(...oldOnes)
  for (const point of [gone, written, collecting]) {
    await held(point)
    await stage.inside('dave', everyEntryIsThere)
    await stage.inside('dave', `systemctl kill -s KILL "deploy-*"; rm -f /hold/${point.name}.reached`)
  }
  t.equal((await run.finished).code, 0)
  const is = await stage.facts('dave')
  t.same([is.running, is.profile, is.boot, is.leftBehind], [was.running, was.profile, was.boot, []])
  t.notOk(Object.values(is.generations).includes(toplevel))
  t.notOk(await isThere(toplevel))
  await stage.inside('dave', everyEntryIsThere)
})

test('the power fails in the middle of a cleaning: the host boots what it ran, and every entry leads to a system', async (t) => {
  for (const [number, point] of [gone, written].entries()) {
    await deployed(holding(10 + 2 * number))
    await deployed(holding(11 + 2 * number))
    const was = await stage.facts('dave')
    await arm(point)
    const run = stage.start(...oldOnes)
    await held(point)
    await lab.powerCut('dave')
    await lab.powerOn('dave')
    await release(point)
    t.not((await run.finished).code, 0, 'nobody saw its end')
    const is = await stage.facts('dave')
    t.same([is.running, is.profile, is.boot], [was.running, was.profile, was.boot])
    // Roots that lead nowhere may come back with the power: the next deployment clears them.
    t.same(
      is.leftBehind.filter((left) => !/^deploy-\d/.test(left)),
      [],
    )
    await stage.inside('dave', everyEntryIsThere)
    t.match(await asked(...oldOnes), { code: 0 }, 'the next one does the rest')
    const { generations } = await stage.facts('dave')
    t.same(
      (await labels()).trim().split('\n').length,
      Object.keys(generations).length + 1,
      'the menu has what is there',
    )
    await stage.inside('dave', everyEntryIsThere)
  }
})

test('while a deployment is under way nothing is cleaned', async (t) => {
  await stage.inside(
    'dave',
    'mkdir -p /run/deploy/20260101t000000-cccccc && ln -s 20260101t000000-cccccc /run/deploy/lock && cd /run/deploy/20260101t000000-cccccc && systemd-run --quiet --unit=deploy-20260101t000000-cccccc sleep 999 && echo "awaiting " > state',
  )
  const was = await stage.facts('dave')
  const told = await asked('clean', 'dave', '--keep', '1', '--older-than', '0s')
  t.match(told, { code: 4, error: { kind: 'locked' } })
  t.same((await stage.facts('dave')).generations, was.generations)
  await stage.inside('dave', 'systemctl stop deploy-20260101t000000-cccccc; rm -r /run/deploy/2026* /run/deploy/lock')
})

test('without room on /boot for a new kernel nothing is copied, and it is said what would help', async (t) => {
  await stage.inside(
    'dave',
    'mkdir /tmp/b && cp -a /boot/nixos/. /tmp/b && mount -t tmpfs -o size=9m tmpfs /boot/nixos && cp -a /tmp/b/. /boot/nixos',
  )
  await stage.configure('dave', { motd: 'a large kernel', kernel: { version: '7.1.0', size: 12_000_000 } })
  const was = await stage.facts('dave')
  const { outcome, code } = await stage.deployHost('dave')
  t.match(outcome, { kind: 'untouched', sentBytes: 0, hints: [/^`deploy clean dave` would free about /] })
  t.match(
    outcome.reason,
    /^the new kernel, initrd and device trees need 24\.\d MB of \/boot, which has room for .*: \d\d\.\d MB are missing$/,
  )
  t.equal(code, 1)
  sameAsBefore(t, was, await stage.facts('dave'))
  await stage.inside('dave', 'umount /boot/nixos')
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
})
