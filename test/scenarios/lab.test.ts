/** The lab is what the other scenarios take it for. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { seen } from './eventually.ts'

before(() => lab.fresh(['forge', 'dave', 'control']))

const said = async (name: string, script: string) => (await lab.inside(name, script)).stdout.trim()

test('the control machine has Node and no Nix, and reaches the others with its own key', async (t) => {
  const nothing = await lab.ssh('control', 'command -v nix nix-store nix-daemon nix-build; ls -d /nix')
  t.equal(nothing.stdout, '')
  t.match((await lab.ssh('control', 'node --version')).stdout, /^v20\.(19|[2-9]\d)/)
  for (const name of ['forge', 'dave']) {
    const { code, stdout } = await lab.ssh('control', `ssh -o BatchMode=yes ${name} hostname`)
    t.same({ code, stdout }, { code: 0, stdout: `${name}\n` })
  }
  t.equal((await lab.ssh('control', 'cat /opt/deploy/LICENSE')).code, 0, 'the repository is there')
  t.equal((await lab.ssh('control', 'touch /opt/deploy/x')).code, 1, 'read-only')
})

test('dave runs the NixOS that his boot loader names, with systemd, as an ordinary user sees it', async (t) => {
  const boot = lab.bootOf('dave')
  const running = await said('dave', 'readlink /run/current-system')
  t.match(boot, { kind: 'nixos', init: `${running}/init` })
  t.equal(await said('dave', 'readlink -f /nix/var/nix/profiles/system'), running)
  t.equal(await said('dave', 'cat /proc/1/comm; systemctl is-system-running'), 'systemd\nrunning')
  t.equal((await lab.ssh('dave', 'id -un; sudo -n id -un')).stdout, 'my_username\nroot\n')
  t.not((await lab.ssh('dave', 'true', { user: 'root' })).code, 0, 'root does not log in')
})

test('the store is read-only for everybody but Nix', async (t) => {
  for (const name of ['forge', 'dave']) {
    t.match((await lab.inside(name, 'touch /nix/store/x')).stderr, 'Read-only file system')
    const added = await lab.inside(name, 'echo x > /root/x; nix-store --add /root/x')
    t.match(added, { code: 0, stdout: /^\/nix\/store\/\w{32}-x$/m })
  }
})

test('no process of dave gets more than his gigabyte', async (t) => {
  t.equal(lab.memory('dave').limit, 1024 ** 3)
  lab.limitMemory('dave', 100 * 1024 ** 2)
  const watch = lab.watchMemory('dave')
  const greedy = await lab.ssh('dave', `perl -e '$x = "x" x (200 << 20); sleep 5'`)
  const { idle, peak } = watch.stop()
  t.not(greedy.code, 0)
  t.ok(idle < peak && peak <= 100 * 1024 ** 2, `${peak}`)
  lab.limitMemory('dave', 1024 ** 3)
})

test('every program that ran on dave is known afterwards, however short it lived', async (t) => {
  const recording = await lab.recordExecutions('dave')
  await lab.ssh('dave', 'nix-store --version; for n in 1 2 3 4 5; do nice true; done')
  await lab.ssh('forge', 'nix --version')
  const programs = (await recording.stop()).map(({ command }) => command)
  t.ok(programs.includes('nix-store'))
  t.equal(programs.filter((command) => command === 'true').length, 5)
  t.notOk(programs.includes('nix'), 'what another machine runs is not counted')
  t.ok(lab.hostProcesses('dave').some(({ argv }) => argv[0]?.startsWith('sshd:')))
})

test('a pulled cable is silence, and the side door stays open', async (t) => {
  await lab.linkDown('dave')
  t.equal(await said('dave', 'systemctl stop sshd; hostname'), 'dave')
  t.equal((await lab.ssh('control', 'ssh -o ConnectTimeout=2 dave true')).code, 255)
  await lab.linkUp('dave')
  await lab.inside('dave', 'systemctl start sshd')
  t.equal((await lab.ssh('control', 'ssh dave true')).code, 0)
  const before = await lab.linkBytes('dave')
  await lab.ssh('dave', 'cat > /dev/null', { input: Buffer.alloc(3_000_000) })
  const after = await lab.linkBytes('dave')
  t.ok(after.toMachine - before.toMachine > 3_000_000)
  t.ok(after.fromMachine - before.fromMachine < 1_000_000)
})

test('when the power is cut, what was not synced is lost, and what was stays', async (t) => {
  const boot = await said('dave', 'cat /proc/sys/kernel/random/boot_id')
  await lab.inside('dave', 'echo kept > /var/kept; sync; echo lost > /var/kept; echo lost > /var/lost; touch /run/here')
  await lab.powerCut('dave')
  t.notOk(lab.isOn('dave'))
  await lab.powerOn('dave')
  const { root } = lab.filesOf('dave')
  t.equal(readFileSync(join(root, 'var/kept'), 'utf8'), 'kept\n')
  t.notMatch(await said('dave', 'cat /var/lost'), 'lost')
  t.equal(await said('dave', 'ls /run/here'), '', '/run is memory')
  t.not(await said('dave', 'cat /proc/sys/kernel/random/boot_id'), boot)
})

test('a reboot reads the boot menu again, and a short kernel boots nothing', async (t) => {
  const menu = '/boot/extlinux/extlinux.conf'
  await lab.inside('dave', `sed -i 's/^DEFAULT .*/DEFAULT nixos-1-default/' ${menu}; sync; systemctl reboot`)
  const label = () => {
    const boot = lab.bootOf('dave')
    return boot?.kind === 'nixos' ? boot.label : boot?.kind
  }
  await seen('dave boots the other entry', () => label() === 'nixos-1-default')
  await lab.powerOn('dave')
  t.pass('it boots the other entry')

  await lab.inside('dave', `truncate -s 1000 /boot/nixos/*-Image; sync`)
  await lab.powerCut('dave')
  await t.rejects(lab.powerOn('dave'), { message: /does not boot: LINUX .*short, 1000 bytes/ })
  await lab.fresh(['dave'])
  t.equal(label(), 'nixos-default', 'a new disk is a new machine')
})

test('a full disk is full', async (t) => {
  await lab.inside('dave', 'fallocate --length "$(df --output=avail --block-size=1 /nix | tail -n 1)" /var/fill')
  const { stderr } = await lab.inside('dave', 'head -c 10M /dev/zero > /var/more')
  t.match(stderr, 'No space left on device')
  t.equal((await lab.inside('dave', 'rm /var/fill /var/more; nix-store --add /etc/hosts')).code, 0)
})

test('the hosts are of three ages: Nix 2.8 to 2.34, systemd 252 to 262', async (t) => {
  const hosts = ['erin', 'frank', 'grace']
  await lab.up(hosts)
  const versions = hosts.map((name) =>
    said(name, 'nix --version; systemctl --version | head -n 1; systemctl is-system-running'),
  )
  const [erin, frank, grace] = await Promise.all(versions)
  t.match(erin, /^nix \(Nix\) 2\.26\..*\nsystemd 257 .*\nrunning$/)
  t.match(grace, /^nix \(Nix\) 2\.8\..*\nsystemd 252 .*\nrunning$/)
  // the newest that Debian has
  const [, nix, systemd] = /^nix \(Nix\) 2\.(\d+)\..*\nsystemd (\d+) .*\nrunning$/.exec(frank ?? '') ?? []
  t.ok(Number(nix) >= 34, `${frank}`)
  t.ok(Number(systemd) >= 260, `${frank}`)
  for (const name of hosts) {
    t.match(await lab.ssh('control', `ssh ${name} sudo nix-store --add /etc/hostname`), { code: 0 })
    t.equal(lab.memory(name).limit, 1024 ** 3)
  }
  await lab.down(hosts)
})

test('nothing of the lab is in the network or among the mounts of this computer', (t) => {
  t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), lab.stateDirectory)
  t.notMatch(readFileSync('/proc/net/dev', 'utf8'), 'br0')
  t.notOk(existsSync('/sys/class/net/host0'))
  t.end()
})
