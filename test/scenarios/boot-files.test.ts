/**
 * A power cut in the middle of the boot loader's writing can leave a boot that works, and a next one that is dead: the menu
 * names a kernel that is short. The damage itself is shown on a virtual machine (test/vm); here, it is made.
 */
import { before, test } from 'tap'
import type { Status } from '../../lib/deployment/status.ts'
import * as lab from '../lab/lab.mjs'
import { type Stage, setStage } from './stage.ts'

let stage: Stage
let kernel = ''

before(async () => {
  stage = await setStage()
})

const powerCycle = async () => {
  await lab.powerCut('dave')
  await lab.powerOn('dave')
}

/** What journal replay does to the boot after such a cut: it runs, and the kernel of the next one is short. */
async function damage() {
  await powerCycle()
  kernel = (await stage.inside('dave', 'ls /boot/nixos/*-Image')).trim()
  await stage.inside('dave', `truncate -s 40000 ${kernel}; sync`)
}

const status = async () => {
  const told = await stage.deploy('status', 'dave', '--json')
  const { hosts } = JSON.parse(told.stdout) as { hosts: (Status & { standing: string })[] }
  return { ...told, ...hosts[0] }
}

test('a dry run tells of a kernel that is not whole, and changes nothing', async (t) => {
  await damage()
  const { outcome } = await stage.deployHost('dave', '--mode', 'dry-activate')
  t.match(outcome.warnings.join('\n'), /-Image: damaged.*; the next boot would fail/)
  t.match(await stage.inside('dave', `stat -c %s ${kernel}`), /^40000$/m)
})

test('a host whose boot files cannot be mended is refused, as it is', async (t) => {
  await stage.inside('dave', 'mount --bind /boot /boot && mount -o remount,ro,bind /boot')
  await stage.configure('dave', { motd: 'on a boot file system that is read-only' })
  const was = await stage.facts('dave')
  const { outcome, code } = await stage.deployHost('dave')
  t.equal(code, 1)
  t.match(outcome, { kind: 'untouched', reason: /^the next boot would fail: .*-Image is damaged/ })
  const { damagedBootFiles, rewrittenBootFiles, standing } = await status()
  t.match([damagedBootFiles?.length, rewrittenBootFiles], [1, { length: 0 }])
  t.match(standing, /the next boot would fail: .*-Image is damaged: do not restart the host before it is whole/)
  const told = await stage.deploy('status', 'dave', '--plain')
  t.match(told.stdout, /the next boot would fail/)
  t.notMatch(told.stdout, /^[✓+] dave/m)
  t.same(await stage.facts('dave'), was)
  await stage.inside('dave', 'umount /boot')
})

test('a deployment rewrites it before anything else, and the host is alive after the next power cut', async (t) => {
  await stage.configure('dave', {})
  const { outcome, code } = await stage.deployHost('dave')
  t.equal(code, 0)
  t.equal(outcome.kind, 'unchanged', 'even one that has nothing else to do')
  t.match(outcome.warnings.join('\n'), /-Image: damaged, as after a power cut; rewritten/)
  await stage.inside('dave', `cmp ${kernel} /run/current-system/kernel`)
  t.same((await stage.facts('dave')).leftBehind, [])
  t.same((await status()).damagedBootFiles, [])
  await powerCycle()
  t.equal(lab.bootOf('dave')?.kind, 'nixos')
})

test('status rewrites kernel, device trees and menu, and the host is alive after the next power cut', async (t) => {
  const was = await stage.facts('dave')
  await powerCycle()
  const tree = '/boot/nixos/*-dtbs/broadcom/bcm2711-rpi-4-b.dtb'
  await stage.inside('dave', `truncate -s 40000 ${kernel}; chmod u+w ${tree}; truncate -s 7 ${tree}; sync`)
  const told = await stage.deploy('status', 'dave', '--plain')
  t.match(told.stdout, /^[✓+] dave/m)
  t.match(
    told.stdout.replaceAll(/\s+/g, ' '),
    /was damaged, as after a power cut, and is written again: \S+-Image, \S+-dtbs/,
  )
  t.same(await stage.facts('dave'), was)

  await stage.inside('dave', ': > /boot/extlinux/extlinux.conf; sync')
  t.match(await status(), { rewrittenBootFiles: ['/boot/extlinux/extlinux.conf'], damagedBootFiles: { length: 0 } })
  t.same((await status()).rewrittenBootFiles, [])
  await powerCycle()
  t.equal(lab.bootOf('dave')?.kind, 'nixos')
  const { running, boot } = await stage.facts('dave')
  t.equal(boot, running)
})

test('a deployment writes a menu that is empty again', async (t) => {
  await stage.inside('dave', ': > /boot/extlinux/extlinux.conf; sync')
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'unchanged')
  t.match(outcome.warnings.join('\n'), /extlinux.conf: damaged, as after a power cut; rewritten/)
  const { running, boot } = await stage.facts('dave')
  t.equal(boot, running)
})

test('without that, the next boot is dead', async (t) => {
  await damage()
  await lab.powerCut('dave')
  await lab.powerOn('dave', { wait: false })
  t.match(lab.bootOf('dave'), { kind: 'dead', reason: /-Image: short, 40000 bytes$/ })
  await lab.fresh(['dave'])
})

test('boot files are read once a boot', async (t) => {
  await powerCycle()
  const compared = async () => {
    const recording = await lab.recordExecutions('dave')
    await stage.deploy('status', 'dave')
    const ran = (await recording.stop()).map(({ command }) => command)
    return ran.filter((command) => ['cmp', 'diff'].includes(command)).sort()
  }
  t.same(await compared(), ['cmp', 'cmp', 'diff'], 'kernel, initrd and device trees')
  t.same(await compared(), [])
})

test('the files of a new kernel are on the disk before the menu names them', async (t) => {
  // what the loader's script finds when it begins
  const found = '/run/lab-found'
  await stage.configure('dave', {
    kernel: { version: '6.18.1' },
    switch: { beforeBootLoader: `for file in /boot/nixos/*6.18.1*; do echo "$file"; done > ${found}` },
  })
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'deployed')
  const files = (await stage.inside('dave', `cat ${found}`)).trim().split('\n')
  t.equal(files.length, 3)
  const menu = await stage.inside('dave', 'cat /boot/extlinux/extlinux.conf')
  for (const file of files) t.ok(menu.includes(`../nixos/${file.split('/').pop()}\n`), file)
  t.same((await stage.facts('dave')).leftBehind, [])
})

test('a menu that did not take the new system keeps the files of the old one', async (t) => {
  await stage.configure('dave', { kernel: { version: '6.18.2' }, switch: { beforeBootLoader: 'exit 0' } })
  const was = await stage.facts('dave')
  const { outcome } = await stage.deployHost('dave')
  t.match(outcome, { kind: 'rolled back', reason: /^the boot loader did not take the new system/ })
  t.same((await stage.facts('dave')).bootFiles, was.bootFiles)
})
