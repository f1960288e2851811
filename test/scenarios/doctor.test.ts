/** `deploy doctor`, with each fault made for real. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { type Stage, setStage } from './stage.ts'

let stage: Stage

before(async () => {
  stage = await setStage({ hosts: ['dave', 'erin', 'frank'] })
})

interface Finding {
  readonly about: string
  readonly level: 'good' | 'careful' | 'bad'
  readonly text: string
  readonly hints: readonly string[]
}
interface Report {
  readonly control: { findings: Finding[] }
  readonly builders: readonly { builder: string; findings: Finding[] }[]
  readonly hosts: readonly { host: string; findings: Finding[] }[]
  readonly exitCode: number
}

async function examine(t: Test, ...words: string[]) {
  const { code, stdout, stderr } = await stage.deploy('doctor', ...words, '--json')
  t.notMatch(stderr, /^ +at /m, 'no stack trace')
  const report = JSON.parse(stdout) as Report
  t.equal(report.exitCode, code)
  const findings = (name: string) =>
    [...report.builders, ...report.hosts].find((one) => Object.values(one).includes(name))?.findings ?? []
  return {
    code,
    of: findings,
    /** `about` of what is not good, by its level */
    wrong: (name: string) =>
      findings(name).flatMap(({ level, about }) => (level === 'good' ? [] : [`${level}: ${about}`])),
  }
}

/** Every file that a question could change, with its time of change. */
const files = (machine: string) =>
  stage.inside(
    machine,
    `find /etc /home /root /tmp /var/lib /var/tmp /boot /nix/var/nix /run/deploy -xdev -mindepth 1 ! -path '/home/*/.cache/nix*' \
      ! -path '/var/lib/systemd/*' ! -path '/nix/var/nix/db/*' -printf '%p %T@ %C@ %s\\n' 2> /dev/null | sort`,
  )

test('where all is well it says so, asks each machine once and changes nothing', async (t) => {
  const plain = await stage.deploy('doctor', 'dave', 'erin', 'frank', '--plain')
  t.match(plain, {
    code: 0,
    stdout:
      /^. this machine {3}ready\n. builder forge {2}ready\n. dave {11}ready\n. erin {11}ready\n. frank {10}ready\n$/,
  })
  t.equal(plain.stderr.replace(/^pid \d+\n/, ''), '', 'nothing but the result, as under cron')

  // By now sudo has said hello, and Nix has its database.
  const was = await Promise.all(['dave', 'forge'].map(files))
  const recording = await lab.recordExecutions('dave')
  const { code, of, wrong } = await examine(t, 'dave')
  const programs = (await recording.stop()).filter(({ command }) => command === 'sudo')
  t.same(wrong('forge'), [])
  t.same(wrong('dave'), [])
  t.equal(code, 0)
  t.equal(programs.length, 1, 'one command as root')
  t.same(await Promise.all(['dave', 'forge'].map(files)), was)
  t.ok(of('dave').length > 10)
})

test('what is wrong with hosts is found for all of them at once, with what to do', async (t) => {
  // dave: a deployment that died, a unit that failed, and a small /boot that is full
  await stage.inside(
    'dave',
    `mkdir -p /run/deploy/19990101-dead && ln -s 19990101-dead /run/deploy/lock
     printf 'activating\\n' > /run/deploy/19990101-dead/state
     printf "holder_name='ops@gone'\\nsince='%s'\\n" "$(date -u -d '-3 hours' +%Y-%m-%dT%H:%M:%SZ)" > /run/deploy/19990101-dead/request
     systemd-run --unit=broken --quiet false; sleep 0.5
     mkdir /root/boot && cp -a /boot/. /root/boot && mount -t tmpfs -o size=60M tmpfs /boot && cp -a /root/boot/. /boot
     fallocate -l $(( $(df -P -k /boot | awk 'NR == 2 { print $4 }') - 1 ))K /boot/full`,
  )
  // erin: a user who is not in the sudoers any more
  await stage.inside('erin', 'mv /etc/sudoers.d/lab /root/')
  // frank: sudo asks for a password
  await stage.inside(
    'frank',
    `cp -p /etc/sudoers.d/lab /root/; echo 'my_username ALL=(ALL:ALL) ALL' > /etc/sudoers.d/lab`,
  )

  const { code, of, wrong } = await examine(t, '--all')
  t.equal(code, 1)
  t.same(wrong('forge'), [])
  t.same(wrong('dave'), ['careful: lock', 'bad: /boot', 'careful: units'])
  t.match(
    of('dave').filter(({ level }) => level !== 'good'),
    [
      {
        text: /^a deployment of ops@gone was interrupted \(activating\), begun 3 h 0 min ago$/,
        hints: [/`deploy unlock dave` finishes it/],
      },
      {
        text: /free on \/boot: another kernel and initrd \([\d.]+ k?B\) would not fit$/,
        hints: [/`deploy clean dave --keep 2 --dry-run`/, /./],
      },
      { text: /^failed: broken.service \([\d.]+ s ago\)$/, hints: [/systemctl status broken\.service/] },
    ],
  )
  t.same(wrong('erin'), ['bad: root'])
  t.match(
    of('erin').find(({ about }) => about === 'root'),
    { text: 'my_username cannot become root without a password', hints: [/NOPASSWD for my_username/, /`sudo: ask`/] },
  )
  t.ok(
    of('erin').some(({ about }) => about === 'NixOS'),
    'what needs no root is looked at all the same',
  )
  t.same(wrong('frank'), ['bad: root'])

  const narrow = await lab.ssh('control', 'cd infra && COLUMNS=40 deploy doctor dave erin frank 2>&1 < /dev/null')
  t.match(narrow.stdout, /^. dave {11}not ready {2}1 problem, 2 warnings$/m)
  t.match(narrow.stdout, /^ {4}. root: my_username cannot become root without a password$/m)

  await stage.inside('frank', 'cp -p /root/lab /etc/sudoers.d/lab')
  await stage.inside('erin', 'mv /root/lab /etc/sudoers.d/')
  await stage.inside('dave', 'umount /boot; rm -r /run/deploy/19990101-dead /run/deploy/lock; systemctl reset-failed')
  t.equal((await examine(t, '--all')).code, 0, 'all is well again')
})

test('a builder without Nix, with a talkative shell, or for other systems than its hosts', async (t) => {
  await stage.inside('forge', `mv /usr/bin/nix /usr/bin/nix.away; echo 'echo good morning' > /home/builder/.bashrc`)
  const without = await examine(t, '--builders')
  await stage.inside('forge', 'mv /usr/bin/nix.away /usr/bin/nix; rm /home/builder/.bashrc')
  t.equal(without.code, 1)
  t.same(without.wrong('forge'), ['bad: shell', 'bad: programs'])
  t.match(
    without.of('forge').find(({ about }) => about === 'programs'),
    { text: 'it has no nix' },
  )

  await stage.describeHost('erin', { system: 'riscv64-linux' })
  const other = await examine(t, '--builders')
  t.same([other.code, other.wrong('forge')], [1, ['bad: systems']])
  t.match(
    other.of('forge').find(({ about }) => about === 'systems'),
    { text: /^it builds x86_64-linux.*, not riscv64-linux \(erin\)$/, hints: [/emulatedSystems/, /remote builder/] },
  )
  await stage.describeHost('erin', { system: 'x86_64-linux' })
  await stage.describeHost('erin', { ssh: 'ssh://my_username@erin.lab:2222' })
  const off = await examine(t, 'erin')
  t.same([off.code, off.wrong('erin')], [4, ['bad: login']])
  // A host key that nobody has seen.
  await stage.onControl('cp .ssh/known_hosts known_hosts.right && ssh-keygen -q -R frank.lab')
  const unknown = await examine(t, 'erin', 'frank')
  t.same([unknown.code, unknown.wrong('erin')], [1, ['bad: login']])
  t.match(unknown.of('frank'), [
    { level: 'bad', text: 'the host key of frank.lab is not known', hints: [/ssh my_username@frank.lab true/, /./] },
  ])
  await stage.onControl('mv known_hosts.right .ssh/known_hosts')
})
