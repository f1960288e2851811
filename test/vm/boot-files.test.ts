/**
 * A power cut in the middle of the boot loader's writing. Without care, the host boots, looks healthy, and is dead at the
 * boot after that: U-Boot reads the menu without replaying the journal, Linux replays it.
 */
import { before, type Test, test } from 'tap'
import type { Status } from '../../lib/deployment/status.ts'
import * as lab from '../lab/lab.mjs'
import { eventually } from '../scenarios/eventually.ts'
import type { Stage } from '../scenarios/stage.ts'
import { consoleLines, powerCycle, printed, setVirtualStage } from './stage.ts'

let stage: Stage
let restoreDisk: () => Promise<void>
let old = ''
let next = ''

/**
 * What the kernel does by itself in the seconds after, in an order that is as good as any: the first 8 MB of the kernel's
 * file are written back (sync_file_range, on 64-bit ARM), and all of the initrd, and the journal with some other file.
 */
const writeBackSome = (version: string) =>
  `perl -e 'open F, "<", shift or die; syscall(84, fileno F, 0, 8 << 20, 7) == 0 or die $!' /boot/nixos/*-linux-${version}-Image
  /usr/bin/sync /boot/nixos/*-initrd-linux-${version}-initrd
  date > /var/lab-other; /usr/bin/sync /var/lab-other`

before(async () => {
  stage = await setVirtualStage('pi')
  old = (await stage.facts('pi')).running
})

const sizeOfDefaultKernel = async () => {
  const script = `cd /boot/extlinux && stat -c %s "$(awk '$1 == "LINUX" { print $2; exit }' extlinux.conf)"`
  return Number(await stage.inside('pi', script))
}
const wholeSize = async () => Number(await stage.inside('pi', 'stat -L -c %s /run/current-system/kernel'))

/** What the loader said, for whoever reads the test's output. */
const tellOfBoot = (t: Test) => {
  const telling = /Retrieving|append|Starting kernel|stage 1|abort|resetting/i
  for (const line of consoleLines('pi').filter((each) => telling.test(each))) t.comment(line)
}

test('without the care: the boot after the cut is the old system, and looks healthy', async (t) => {
  await stage.configure('pi', { kernel: { version: '6.18.1' } })
  const { outcome } = await stage.deployHost('pi', '--mode', 'dry-activate')
  t.equal(outcome.kind, 'dry-activated', 'it is on the host, and nothing else was done')
  next = outcome.toplevel
  // what a switch does without writing anything back, stopped when the menu is in its place
  const bootStep = `nix-env -p /nix/var/nix/profiles/system --set ${next} && sync &&
    NIXOS_NO_SYNC=1 ${next}/bin/switch-to-configuration boot && { ${writeBackSome('6.18.1')}; }`
  await stage.inside('pi', bootStep)
  await lab.powerCut('pi')
  restoreDisk = await lab.keepDisk('pi')
  await lab.powerOn('pi')
  tellOfBoot(t)
  const facts = await stage.facts('pi')
  t.equal(facts.booted, old)
  t.equal(facts.boot, next, 'the menu names the new system')
  const size = await sizeOfDefaultKernel()
  t.comment(`its kernel has ${size} of ${await wholeSize()} bytes`)
  t.ok(size > 0 && size < (await wholeSize()))
})

test('without the care: the boot after that is dead', async (t) => {
  await lab.powerCut('pi')
  await lab.powerOn('pi', { wait: false })
  await printed('pi', /Starting kernel/)
  await printed('pi', /resetting/)
  tellOfBoot(t)
  t.notOk(
    consoleLines('pi').some((line) => line.startsWith('stage 1')),
    'no system starts',
  )
  await lab.powerCut('pi')
})

async function isAlive(t: Test) {
  await powerCycle('pi')
  tellOfBoot(t)
  const facts = await stage.facts('pi')
  t.same([facts.booted, facts.running, facts.boot], [next, next, next])
  t.equal(await sizeOfDefaultKernel(), await wholeSize())
}

test('the same disk, with a deployment after the cut: mended, alive', async (t) => {
  await restoreDisk()
  await lab.powerOn('pi')
  const { outcome, code } = await stage.deployHost('pi', '--mode', 'boot')
  t.comment(outcome.kind, outcome.warnings)
  t.equal(code, 0)
  t.match(outcome, { kind: 'unchanged', toplevel: next }, 'there is nothing else to do')
  t.match(outcome.warnings.join('\n'), /-Image.*: damaged, as after a power cut; rewritten/)
  await isAlive(t)
})

test('the same disk, looked at after the cut: mended, alive', async (t) => {
  await lab.powerCut('pi')
  await restoreDisk()
  await lab.powerOn('pi')
  const { stdout } = await stage.deploy('status', 'pi', '--json')
  const { hosts } = JSON.parse(stdout) as { hosts: (Status & { standing: string })[] }
  t.comment(hosts[0]?.standing, hosts[0]?.rewrittenBootFiles)
  t.match(hosts[0]?.rewrittenBootFiles.join(), /-Image/)
  await isAlive(t)
})

test('a deployment that is cut at the same moment: alive at the next boot, and at the one after', async (t) => {
  const was = await stage.facts('pi')
  const inPlace = '/run/lab-menu-in-place'
  await stage.configure('pi', {
    kernel: { version: '6.18.2' },
    switch: { afterBootLoader: `${writeBackSome('6.18.2')}\necho > ${inPlace}\nsleep 9999` },
  })
  // the same steps as after a confirmation, without minutes of an emulated switch before them
  const deploying = stage.start('pi', '--mode', 'boot')
  await eventually('pi', `[ -e ${inPlace} ]`, 400)
  await lab.powerCut('pi')
  await deploying.signal('KILL')
  await lab.powerOn('pi')
  tellOfBoot(t)
  const first = await stage.facts('pi')
  t.comment(`booted ${first.booted}, the next boot runs ${first.boot}`)
  const both = [was.running, first.profile]
  t.ok(both.includes(first.booted))
  t.not(first.profile, was.profile)
  t.equal(await sizeOfDefaultKernel(), await wholeSize())
  await powerCycle('pi')
  tellOfBoot(t)
  const second = await stage.facts('pi')
  t.comment(`then ${second.booted}`)
  t.ok(both.includes(second.booted))
  const told = await stage.deploy('status', 'pi', '--plain')
  t.comment(told.stdout)
  t.notMatch(told.stdout, /would fail/)
})
