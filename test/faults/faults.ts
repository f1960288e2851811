/** What can happen to a deployment: how it is done, how it ends, and what the host may do because of it. */
import * as lab from '../lab/lab.mjs'
import { eventually, seen } from '../scenarios/eventually.ts'
import type { Stage as Machines, Running } from '../scenarios/stage.ts'
import type { Knobs } from './stages.ts'

export interface Scene {
  readonly machines: Machines
  readonly deploying: Running
  /** until `deploy` has ended by itself */
  readonly ended: Promise<unknown>
  /** until the host is through with it */
  over(): Promise<void>
}

export interface Fault {
  readonly name: string
  /** knobs of the lab's flake that it needs */
  readonly knobs?: Knobs
  /** while the deployment is held */
  apply(scene: Scene): Promise<unknown>
  /** after it was let go: ends it, or waits until it has ended by itself */
  lift?(scene: Scene): Promise<unknown>
  /** after the host has been looked at by the side door */
  mend?(scene: Scene): Promise<unknown>
  readonly allows?: Allowance
}

export interface Allowance {
  /** `deploy` itself is gone, and tells nothing */
  readonly silence?: true
  /** it was asked to stop: its exit code may be 130 */
  readonly interruption?: true
  /** the host restarts */
  readonly restart?: true
  /** older generations are gone */
  readonly fewerGenerations?: true
  /** nothing could be written: no line of history */
  readonly noHistory?: true
  /** where the host reboots: that nobody can reach it any more may be told as `needs hands` */
  readonly hands?: true
  /** where the host reboots: nothing on its disk can be put back before the next deployment */
  readonly frozenDisk?: true
  /** a profile that is one step ahead stays so, and that may be told as needing hands */
  readonly frozenStore?: true
  /** roots that lead nowhere stay until the next deployment */
  readonly deadRoots?: true
  /** systemd reads no unit files anew, so that it goes on knowing units whose files are gone */
  readonly noReload?: true
  /** Nix's own directory of a build whose daemon was killed */
  readonly unfinishedBuilds?: true
}

/** Root's shell on the host; must succeed, or nothing would have happened to the deployment. */
const inside = (script: string) => async () => {
  const { code, stdout, stderr } = await lab.inside('dave', script)
  if (code !== 0) throw new Error(`on dave: ${script}: ${stdout}${stderr}`)
}

const powerCycle = async (name: string) => {
  await lab.powerCut(name)
  await lab.powerOn(name)
}

const killUnits = (which: 'supervisor' | 'guard' | 'both') => {
  const units = "systemctl list-units --no-legend --plain 'deploy-*' | awk '{ print $1 }'"
  const filter = { supervisor: 'grep -v guard', guard: 'grep guard', both: 'cat' }[which]
  return async () => {
    const { code } = await lab.inside(
      'dave',
      `set -- $(${units} | ${filter}); [ $# -gt 0 ] && systemctl kill -s KILL "$@"`,
    )
    if (code !== 0) throw new Error(`no ${which} to kill`)
  }
}

/** Fills the disk, which /, /nix and /boot have in common, to the last block. */
const fillDisk = `fallocate -l $(df --output=avail -B1 / | tail -n 1) /var/fill
head -c 1G /dev/zero > /var/fill-rest 2> /dev/null; sync /var/fill-rest
[ "$(df --output=avail -B1 / | tail -n 1)" -lt 100000 ]`

/** A small file system over /boot with its files and room for one more kernel, but not for its initrd. */
const fillBoot = `
size=$(du -sk /boot | cut -f1)
mkdir -p /run/boot-disk && mount --bind /boot /run/boot-disk && mount --make-private /run/boot-disk
mount -t tmpfs -o size=$((size + 800))k boot /boot && cp -a /run/boot-disk/. /boot/`
const mendBoot = `
[ -d /run/boot-disk ] || exit 0 # it has rebooted since
mkdir /run/boot-files && cp -a /boot/. /run/boot-files/ && umount /boot
find /run/boot-disk -mindepth 1 -delete; cp -a /run/boot-files/. /boot/
umount /run/boot-disk; rm -rf /run/boot-files /run/boot-disk; sync`

/** The mount of / itself is always busy; a mount of its own over each directory of it can be made read-only. */
const directories = '/boot /etc /home /root /tmp /var'
const readOnly = (directories: string) => `touch /run/frozen; for directory in ${directories}; do
  mount --bind $directory $directory && mount --make-private $directory && mount -o remount,bind,ro $directory || exit 1
done`
// After a reboot there are only the machine's own mounts.
const writable = (directories: string) =>
  `rm /run/frozen || exit 0; for directory in ${directories}; do umount -l $directory; done; true`

/** The memory file system that keeps the deployment's state, without a byte to spare. */
const fillRun = `df --output=size -k /run | tail -n 1 > /var/size-of-run
# somebody may write there between the look and the remount
for turn in 1 2 3 4 5; do mount -o remount,size=$(df --output=used -k /run | tail -n 1 | tr -d ' ')k /run && break; done
head -c 1M /dev/zero > /run/fill; [ "$(df --output=avail -k /run | tail -n 1)" -eq 0 ]`
const mendRun = `rm -f /run/fill; mount -o remount,size=$(tr -d ' ' < /var/size-of-run)k /run; rm /var/size-of-run`

/** Until the machine has gone down and come back. */
const reboot = async () => {
  const before = lab.firstProcess('dave')
  await inside('systemctl reboot')()
  await seen('dave reboots', () => ![undefined, before].includes(lab.firstProcess('dave')))
  await eventually('dave', '[ -e /run/systemd/system ] && systemctl is-active --quiet sshd', 60)
}

/** The daemon's wrapper (hold.ts) takes the file away when it does the damage. */
const wasDone = (damage: string) => async () => {
  const { code } = await lab.inside('dave', `test ! -e /run/damage-${damage}`)
  if (code !== 0) throw new Error('no NAR was damaged')
}

/** Takes all the memory there is, three times, until the kernel ends it: as a unit, or it were outside the limit of the machine. */
const hog = `for turn in 1 2 3; do
  systemd-run --quiet --wait --unit=hog-$turn --property=OOMPolicy=continue perl -e 'my @all; push @all, "x" x 10000000 while 1'
done
systemctl reset-failed 'hog-*'; true`

/** All that a user of the host without sudo could plant for a deployment to stumble over. */
const forgery = `
for place in /tmp /var/tmp /dev/shm /run /run/deploy /var/lib/deploy /nix/var/nix/gcroots/auto /nix/var/nix/profiles /run/nixos; do
  for name in deploy lock mutex verdict state result history request program before system-99-link start-list; do
    ln -s /dev/null "$place/$name" || echo 'confirm' > "$place/$name" || mkdir "$place/$name"
  done
  ln -s /home/my_username "$place/deploy-20260101t000000-aaaaaa"
done
for file in /run/deploy/*/verdict /run/deploy/*/state /run/deploy/lock; do echo confirm > "$file"; rm -f "$file"; done
systemctl --no-ask-password stop 'deploy-*'
systemctl --no-ask-password kill 'deploy-*'
systemd-run --user --unit=deploy-20260101t000000-aaaaaa sleep 60
true`
const forget = `
find /tmp /var/tmp /dev/shm -user my_username -delete
runuser -u my_username -- sh -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user stop "deploy-*"'; true`

/** Whoever may read a file may lock it: a user of the host without sudo tries to. */
const holdSwitchLock = `
mkdir -p /run/nixos; touch /run/nixos/switch-to-configuration.lock
setsid runuser -u my_username -- flock /run/nixos/switch-to-configuration.lock sh -c 'touch /tmp/has-lock; exec sleep 600' > /dev/null 2>&1 < /dev/null &
for turn in $(seq 20); do [ ! -e /tmp/has-lock ] || break; kill -0 $! || break; sleep 0.05; done; rm -f /tmp/has-lock`

export const faults: readonly Fault[] = [
  {
    name: 'deploy killed',
    apply: ({ deploying }) => deploying.signal('KILL'),
    allows: { silence: true },
  },
  {
    name: 'deploy terminated',
    apply: ({ deploying }) => deploying.signal('TERM'),
    allows: { interruption: true },
  },
  {
    name: 'Ctrl-C',
    apply: ({ deploying }) => deploying.signal('INT'),
    allows: { interruption: true },
  },
  {
    name: 'link silent for 5 s',
    apply: () => lab.linkDown('dave'),
    async lift() {
      await new Promise((resolve) => setTimeout(resolve, 5000))
      await lab.linkUp('dave')
    },
  },
  {
    name: 'link silent beyond the window',
    apply: () => lab.linkDown('dave'),
    async lift({ machines, over }) {
      const { confirmWithin } = machines.inventory.defaults.activation
      await new Promise((resolve) => setTimeout(resolve, (Number.parseInt(confirmWithin, 10) + 3) * 1000))
      await over()
      await lab.linkUp('dave')
    },
  },
  {
    name: 'link silent for ever',
    apply: () => lab.linkDown('dave'),
    lift: ({ ended }) => ended,
    mend: () => lab.linkUp('dave'),
    allows: { hands: true },
  },
  {
    name: 'connections reset',
    // after a boot, somebody has to have come back first
    apply: inside(
      'for turn in $(seq 100); do ss -K state established sport = :22 | grep -q :22 && exit 0; sleep 0.1; done; exit 1',
    ),
  },
  {
    name: 'power of the builder cut',
    apply: () => lab.powerCut('forge'),
    mend: () => lab.powerOn('forge'),
  },
  {
    name: "builder's daemon killed",
    apply: () => lab.inside('forge', "pkill -KILL -f 'nix-daemon'; true"),
    allows: { unfinishedBuilds: true },
  },
  {
    name: 'power of the host cut',
    apply: () => powerCycle('dave'),
    allows: { restart: true, deadRoots: true },
  },
  { name: 'host rebooted', apply: reboot, allows: { restart: true, deadRoots: true } },
  { name: 'supervisor killed', apply: killUnits('supervisor') },
  { name: 'guard killed', apply: killUnits('guard') },
  { name: 'supervisor and guard killed', apply: killUnits('both') },
  {
    name: 'nix-daemon killed',
    apply: inside("systemctl kill -s KILL nix-daemon.service; pkill -KILL -f '^/usr/bin/nix-daemon'; true"),
  },
  { name: 'sshd and its sessions killed', apply: inside("pkill -KILL '^sshd'; true") },
  { name: 'sshd restarted', apply: inside('systemctl restart sshd.service') },
  { name: 'dbus and logind restarted', apply: inside('systemctl restart dbus.service systemd-logind.service') },
  { name: 'systemd re-executed', apply: inside('systemctl daemon-reexec') },
  {
    name: 'disk full',
    apply: inside(fillDisk),
    mend: inside('rm -f /var/fill /var/fill-rest; sync'),
    allows: { noHistory: true },
  },
  {
    name: 'boot file system full',
    knobs: (number) => ({ kernel: { version: `7.0.${number}`, size: 500_000 } }),
    apply: inside(fillBoot),
    mend: inside(mendBoot),
  },
  {
    name: 'root file system read-only',
    apply: inside(readOnly(directories)),
    mend: inside(writable(directories)),
    allows: { noHistory: true, hands: true, frozenDisk: true },
  },
  {
    name: 'whole disk read-only',
    apply: inside(readOnly(`${directories} /nix`)),
    // Neither Nix's daemon nor a user's session begins where nothing can be written.
    mend: inside(`${writable(`${directories} /nix`)}; systemctl reset-failed nix-daemon.service 'user@*'; true`),
    allows: { noHistory: true, hands: true, frozenDisk: true, frozenStore: true, deadRoots: true },
  },
  // systemd wants 16 MiB there for a daemon-reload.
  { name: '/run full', apply: inside(fillRun), mend: inside(mendRun), allows: { noReload: true } },
  { name: 'out of memory (1 GB)', apply: inside(hog) },
  {
    name: 'out of memory (512 MB)',
    async apply() {
      lab.limitMemory('dave', 512 * 2 ** 20)
      await inside(hog)()
    },
    mend: async () => lab.limitMemory('dave', 2 ** 30),
  },
  { name: 'clock an hour ahead', apply: async () => {} },
  { name: 'clock an hour behind', apply: async () => {} },
  { name: 'NAR corrupted', apply: inside('touch /run/damage-corrupt'), mend: wasDone('corrupt') },
  { name: 'NAR truncated', apply: inside('touch /run/damage-truncate'), mend: wasDone('truncate') },
  {
    name: 'garbage collected',
    apply: inside('nix-collect-garbage -d'),
    allows: { fewerGenerations: true },
  },
  {
    name: 'markers forged',
    apply: () => lab.inside('dave', ['runuser', '-u', 'my_username', '--', 'setsid', 'sh', '-c', forgery]),
    mend: inside(forget),
  },
  {
    name: "switch's lock taken",
    apply: inside(holdSwitchLock),
    mend: inside('pkill -u my_username -x sleep; true'),
  },
]

export const faultNamed = (name: string): Fault => {
  const found = faults.find((fault) => fault.name === name)
  if (!found) throw new Error(`no fault ${name}`)
  return found
}
