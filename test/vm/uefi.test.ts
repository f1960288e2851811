/** Reboots on a PC with UEFI and systemd-boot, which can try an entry once. */
import { before, type Test, test } from 'tap'
import { sameAsBefore, type Stage } from '../scenarios/stage.ts'
import { consoleLines, powerCycle, setVirtualStage } from './stage.ts'

let stage: Stage
let kernels = 0

const activation = { timeout: '600s', confirmWithin: '300s', settle: '1s', rebootWithin: '900s' }

before(async () => {
  stage = await setVirtualStage('otto')
  // as the machine itself writes it, not whoever installed it
  await stage.inside('otto', '/run/current-system/bin/switch-to-configuration boot >&2 && sync')
  await stage.describeHost('otto', { activation, reboot: 'when-needed' })
})

const withNewKernel = (kernel: Record<string, unknown> = {}) =>
  stage.configure('otto', { kernel: { version: `7.1.${++kernels}`, ...kernel } })

const bootId = () => stage.inside('otto', 'cat /proc/sys/kernel/random/boot_id')

/** Which entry of its menu systemd-boot has started. */
const startedEntry = async () =>
  /^Current Entry: (.*)$/m.exec(await stage.inside('otto', 'bootctl status 2> /dev/null'))?.[1]

/** What runs is what boots, and nothing is left. */
async function isConfirmed(t: Test, system: string) {
  const { running, profile, boot, leftBehind } = await stage.facts('otto')
  t.same([running, profile, boot, leftBehind], [system, system, system, []])
}

/** What firmware, loader and kernels said, for whoever reads the test's output. */
const tellOfBoots = (t: Test) => {
  const telling = /BdsDxe|EFI stub|stage 1|panic|Error/
  for (const line of consoleLines('otto').filter((each) => telling.test(each))) t.comment(line)
}

test('what can be switched to is switched to, and boots', async (t) => {
  const booted = await bootId()
  await stage.configure('otto', { motd: 'live' })
  const { outcome, code, stderr } = await stage.deployHost('otto')
  t.equal(code, 0, stderr)
  t.match(outcome, { kind: 'deployed', warnings: { length: 0 } })
  t.equal(await bootId(), booted)
  await isConfirmed(t, outcome.toplevel)
  await powerCycle('otto')
  const is = await stage.facts('otto')
  t.same([is.booted, is.running], [outcome.toplevel, outcome.toplevel])
})

test('a new kernel is booted, verified and confirmed', async (t) => {
  const booted = await bootId()
  await withNewKernel()
  const { outcome, code, stderr } = await stage.deployHost('otto')
  tellOfBoots(t)
  t.equal(code, 0, stderr)
  t.match(outcome, { kind: 'deployed', reason: '', warnings: { length: 0 } })
  t.not(await bootId(), booted)
  await isConfirmed(t, outcome.toplevel)
  const { booted: system, generations } = await stage.facts('otto')
  t.equal(system, outcome.toplevel)
  const number = Object.keys(generations).find((each) => generations[each] === outcome.toplevel)
  t.equal(await startedEntry(), `nixos-generation-${number}.conf`)
})

test('a kernel that panics: the host comes back by itself, with the system that ran before', async (t) => {
  const was = await stage.facts('otto')
  await withNewKernel({ isDead: true })
  const { outcome, code } = await stage.deployHost('otto')
  tellOfBoots(t)
  t.comment(outcome.reason, outcome.hints)
  t.equal(code, 1)
  t.match(outcome, { kind: 'rolled back', running: was.running })
  const panics = consoleLines('otto').filter((line) => line.includes('Kernel panic'))
  t.equal(panics.length, 1, 'it was tried once')
  sameAsBefore(t, was, await stage.facts('otto'))
})
