/** Deployments that send what changed inside of paths, and what becomes of them when that fails. */
import t from 'tap'
import * as lab from '../lab/lab.mjs'
import { frozen, seen } from './eventually.ts'
import { type Stage, setStage } from './stage.ts'

const skip = lab.whyNoLab() ?? false
const megabyte = 1e6

let stage: Stage
let version = 0

t.before(async () => {
  if (skip) return
  stage = await setStage({ defaults: { copy: { compress: 'never', delta: 'best' } } })
  await next()
  await stage.deployHost('dave')
})

/** Zeros, and packages of text, in another version than the host has. */
async function next() {
  version++
  const packages = { count: 4, size: 2_000_000, version: `1.${version}` }
  await stage.configure('dave', { motd: `version ${version}`, bigPath: 30, packages })
}

/** A deployment of the next version, and the bytes that went to the host meanwhile. */
async function deployNext() {
  await next()
  const before = await lab.linkBytes('dave')
  const told = await stage.deployHost('dave')
  return { ...told, bytes: (await lab.linkBytes('dave')).toMachine - before.toMachine }
}

/** What runs is what was asked for, whole, and nothing else is left. */
async function isWell(t: Tap, { outcome }: Awaited<ReturnType<typeof deployNext>>) {
  t.match(outcome, { kind: 'deployed', running: outcome.toplevel })
  const { running, leftBehind } = await stage.facts('dave')
  t.same([running, leftBehind], [outcome.toplevel, []])
  t.equal(await stage.inside('dave', `nix-store --verify-path $(nix-store -qR ${running})`), '')
  t.equal(await stage.inside('dave', 'ls -d /var/tmp/deploy-* 2> /dev/null || true'), '')
}
type Tap = Pick<typeof t, 'equal' | 'match' | 'same'>

/** The program that puts NARs together on the host. */
const decoder = /sh -c .*deploy-patches/s

t.test('what changed is sent in place of what did not', { skip }, async (t) => {
  const told = await deployNext()
  await isWell(t, told)
  const { sentBytes, sparedBytes } = told.outcome
  t.ok(sentBytes > 38 * megabyte && sparedBytes > sentBytes - megabyte, `${sparedBytes} of ${sentBytes} bytes spared`)
  t.ok(told.bytes < 2 * megabyte, `${told.bytes} bytes went to dave`)
  t.match(told.stderr, /paths, .*, 5 of them as patches of /)
})

t.test('an old path that is damaged on the host is no base, and the new one comes whole', { skip }, async (t) => {
  const old = (await stage.inside('dave', 'nix-store -qR /run/current-system | grep -e -filler-1-')).trim()
  const file = `${old}/share/filler-1/data`
  const write = `chmod u+w ${file} && printf x | dd of=${file} conv=notrunc seek=1000000 bs=1`
  await stage.inside('dave', `unshare --mount sh -c 'mount -o remount,bind,rw /nix/store && ${write}'`)
  const told = await deployNext()
  await isWell(t, told)
  t.match(told.stderr, /patches: .*cannot patch .*-filler-1-/)
  t.ok(told.bytes > 2 * megabyte && told.bytes < 5 * megabyte, `${told.bytes} bytes went to dave`)
  t.ok(told.outcome.sparedBytes > 36 * megabyte, 'all others are patched')
})

t.test('when what puts them together dies, whole paths are sent', { skip }, async (t) => {
  const deployed = deployNext()
  await frozen('dave', decoder)
  for (const { pid, argv } of lab.hostProcesses('dave')) if (decoder.test(argv.join(' '))) process.kill(pid, 'SIGKILL')
  const told = await deployed
  await isWell(t, told)
  t.match(told.stderr, /patches: \d+ paths are left/)
})

t.test(
  'after a power cut in the middle nothing is there that is not whole, and the next run goes on',
  { skip },
  async (t) => {
    await next()
    const running = stage.start('dave')
    await frozen('dave', decoder)
    await lab.powerCut('dave')
    const { outcomes } = await running.finished
    t.match(outcomes['dave']?.kind, /^(untouched|unreachable)$/)
    await lab.powerOn('dave')
    await seen('dave is back', async () => (await lab.ssh('dave', 'true')).code === 0)
    const verify = 'nix-store --verify --check-contents 2>&1 | grep -c -e "was modified" || true'
    t.equal(await stage.inside('dave', verify), '1\n', 'the one that was damaged above')
    await isWell(t, await deployNext())
  },
)
