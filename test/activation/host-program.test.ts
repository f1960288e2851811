import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { beginInput, type HostProgram, hostProgram } from '../../lib/activation/host-program.ts'

const directory = new URL('../../lib/activation/host/', import.meta.url)
const parts = new Map(readdirSync(directory).map((name) => [name, readFileSync(new URL(name, directory), 'utf8')]))
const program = hostProgram(parts)
const functions = program.replace(/^verb=[\s\S]*$/m, '')
const wanted = ['/bin/dash', '/bin/bash', '/bin/busybox']
const shells = wanted.filter((shell) => spawnSync(shell, ['--help']).error === undefined)
const run = (shell: string, script: string, input = '') =>
  execFileSync(shell, [...(shell.endsWith('busybox') ? ['sh'] : []), '-c', script], { input, encoding: 'utf8' })

t.test('every shell that a host may have as /bin/sh can read the program', async (t) => {
  for (const shell of shells) {
    const checked = spawnSync(shell, [...(shell.endsWith('busybox') ? ['sh'] : []), '-n'], {
      input: program,
      encoding: 'utf8',
    })
    t.equal(checked.stderr, '', shell)
    t.equal(checked.status, 0, shell)
  }
})

for (const shell of wanted) {
  if (!shells.includes(shell)) t.test(`the host program in ${shell}`, { skip: `no ${shell}` }, async () => {})
}

t.test('values of a request reach the host exactly as they are', async (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'))
  fc.assert(
    fc.property(text, (value) => {
      const input = beginInput('exit' as HostProgram, 'id-1', { value })
      const request = /<<'end of file id-1'.*\n([\s\S]*?)\nend of file id-1\n/.exec(input)?.[1] ?? ''
      return run('/bin/sh', `${request}\nprintf '%s|' "$value"`) === `${value}|`
    }),
    { numRuns: 60 },
  )
  t.pass()
})

type Field = 'load' | 'active' | 'sub' | 'restarts' | 'type' | 'tried' | 'started' | 'job' | 'wanted' | 'since'

/** A line of `units`. `since`: seconds since the boot; long ago when left out. */
const unit = (name: string, over: Partial<Record<Field, string>> = {}) => {
  const { load = 'loaded', active = 'active', sub = 'running', restarts = '0', type = 'simple' } = over
  const { tried = '1', started = '1', job = '0', wanted = '1', since = '1' } = over
  return [name, load, active, sub, restarts, type, 'no', 'no', tried, started, job, wanted, since, '0'].join(' ')
}
/** The second since the boot that the cases call now. */
const now = Math.floor(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]))
const judge = (shell: string, before: string[], after: string[], at: string[]) =>
  run(
    shell,
    `${functions}
    d=$(mktemp -d); printf '%s\\n' '${before.join('\n')}' > "$d/before"; printf '%s\\n' '${after.join('\n')}' > "$d/after"
    echo ${now} > "$d/before.taken"
    unit_problems "$d/before" "$d/after"; rm -r "$d"`,
    `${at.join('\n')}\n`,
  )
    .trim()
    .split('\n')
    .filter(Boolean)

/** However long the tests before it take. */
const justNow = String(now + 600)
const failed = { active: 'failed', sub: 'failed' }
const inactive = { active: 'inactive', sub: 'dead' }
const cases: [title: string, before: string[], after: string[], now: string[], problems: string[]][] = [
  ['nothing changed', [unit('a.service')], [unit('a.service')], [unit('a.service')], []],
  ['a unit failed newly', [unit('a.service')], [], [unit('a.service', failed)], ['a.service final failed']],
  ['a new unit failed', [], [], [unit('a.service', failed)], ['a.service final failed']],
  ['a unit that had failed before is no reason', [unit('a.service', failed)], [], [unit('a.service', failed)], []],
  [
    'a crash loop never shows as failed',
    [unit('a.service')],
    [],
    [unit('a.service', { active: 'activating', sub: 'auto-restart' })],
    ['a.service passing keeps restarting'],
  ],
  [
    'a unit that was restarted since the switch has to stay up',
    [unit('a.service')],
    [unit('a.service')],
    [unit('a.service', { restarts: '1', since: justNow })],
    ['a.service passing was restarted by systemd'],
  ],
  [
    'a unit that was restarted once, and has been up since, was waiting for another one',
    [unit('a.service')],
    [unit('a.service')],
    [unit('a.service', { restarts: '1', since: String(now - 20) })],
    [],
  ],
  [
    'three restarts are a crash loop',
    [unit('a.service')],
    [unit('a.service')],
    [unit('a.service', { restarts: '3', since: justNow })],
    ['a.service final keeps restarting'],
  ],
  [
    'a unit that came and went before the switch as well is no reason',
    [unit('a.service', { restarts: '9', since: String(now - 3) })],
    [unit('a.service', { restarts: '9', since: String(now - 3) })],
    [unit('a.service', { restarts: '12', since: justNow, active: 'activating', sub: 'auto-restart' })],
    [],
  ],
  [
    'restarts from before the switch do not count',
    [unit('a.service', { restarts: '7' })],
    [unit('a.service', { restarts: '7' })],
    [unit('a.service', { restarts: '7' })],
    [],
  ],
  [
    'a wanted unit whose dependency failed was never started',
    [],
    [],
    [unit('a.service', { ...inactive, tried: '0', started: '0' })],
    ['a.service final was not started, although it is wanted'],
  ],
  ['a unit whose condition was not met is fine', [], [], [unit('a.service', { ...inactive, started: '0' })], []],
  [
    'a unit that was active and is still wanted is down',
    [unit('a.service')],
    [],
    [unit('a.service', inactive)],
    ['a.service passing is inactive, and was active before'],
  ],
  [
    'a unit that nobody wants any more may stop',
    [unit('a.service')],
    [],
    [unit('a.service', { ...inactive, wanted: '0' })],
    [],
  ],
  [
    'a oneshot that ended is fine',
    [unit('a.service', { type: 'oneshot' })],
    [],
    [unit('a.service', { ...inactive, type: 'oneshot' })],
    [],
  ],
  [
    'our own units are not judged, whoever else is called alike',
    [],
    [],
    [unit('deploy-20260101t000000-abcdef.service', failed), unit('deploy-bot.service', failed)],
    ['deploy-bot.service final failed'],
  ],
]
for (const shell of shells) {
  t.test(`units are judged against what was before, in ${shell}`, async (t) => {
    for (const [title, before, after, now, problems] of cases) t.same(judge(shell, before, after, now), problems, title)
  })
}

t.test('what the next boot runs is read from the boot loader itself', async (t) => {
  const top = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-dave'
  const loaders: Record<string, Record<string, string>> = {
    extlinux: {
      'extlinux/extlinux.conf': `DEFAULT nixos-default\n\nLABEL nixos-old\n  LINUX ../nixos/k0\n  APPEND init=/nix/store/0000000000abcdfghijklmnpqrsvwxyz-old/init\nLABEL nixos-default\n  MENU LABEL NixOS\n  LINUX ../nixos/k1\n  INITRD ../nixos/i1\n  APPEND init=${top}/init loglevel=4\n`,
    },
    'systemd-boot': {
      'loader/loader.conf': 'timeout 5\ndefault nixos-generation-12.conf\n',
      'loader/entries/nixos-generation-11.conf': 'options init=/nix/store/0000000000abcdfghijklmnpqrsvwxyz-old/init\n',
      'loader/entries/nixos-generation-12.conf': `title NixOS\nlinux /EFI/nixos/k.efi\ninitrd /EFI/nixos/i.efi\noptions init=${top}/init quiet\n`,
    },
    'systemd-boot that prefers an entry by its hash': {
      'loader/loader.conf': 'default nixos-*\npreferred nixos-abc.conf\n',
      'loader/entries/nixos-abc+3.conf': `options init=${top}/init quiet\n`,
      'loader/entries/nixos-abd+3.conf': 'options init=/nix/store/0000000000abcdfghijklmnpqrsvwxyz-old/init\n',
    },
    'systemd-boot beside a specialisation and a longer number': {
      'loader/loader.conf': 'default nixos-generation-1.conf\n',
      'loader/entries/nixos-generation-1.conf': `options init=${top}/init quiet\n`,
      'loader/entries/nixos-generation-12.conf': 'options init=/nix/store/0000000000abcdfghijklmnpqrsvwxyz-old/init\n',
      'loader/entries/nixos-generation-1-specialisation-x.conf':
        'options init=/nix/store/1111111111abcdfghijklmnpqrsvwxyz-x/init\n',
    },
    'systemd-boot with boot counters': {
      'loader/loader.conf': 'default nixos-generation-12.conf\n',
      'loader/entries/nixos-generation-12+2-1.conf': `options init=${top}/init quiet\n`,
    },
    grub: {
      'grub/grub.cfg': `set default=0\nmenuentry "NixOS - Default" {\n  linux ($drive1)//kernels/k init=${top}/init\n}\nmenuentry "NixOS - 1" {\n  linux ($drive1)//kernels/k init=/nix/store/0000000000abcdfghijklmnpqrsvwxyz-old/init\n}\n`,
    },
  }
  for (const [title, files] of Object.entries(loaders)) {
    const boot = t.testdir(
      Object.entries(files).reduce<Record<string, Record<string, unknown>>>((tree, [path, content]) => {
        const names = path.split('/')
        let at: Record<string, unknown> = tree
        for (const name of names.slice(0, -1)) {
          at[name] ??= {}
          at = at[name] as Record<string, unknown>
        }
        at[names.at(-1) as string] = content
        return tree
      }, {}) as Parameters<typeof t.testdir>[0],
    )
    for (const shell of shells) {
      t.equal(run(shell, `${functions.replaceAll('/boot', boot)}\nboot_default`).trim(), top, `${title}, ${shell}`)
    }
  }
})

t.test('what the next boot runs is unknown where it cannot be told for certain', async (t) => {
  const menu =
    'menuentry "NixOS" {\n  linux ($drive1)//kernels/k init=/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a/init\n}\n'
  const boots: Record<string, Parameters<typeof t.testdir>[0]> = {
    'no boot loader': {},
    'a pattern that means several entries': {
      loader: { 'loader.conf': 'default nixos-*\n', entries: { 'nixos-a.conf': '', 'nixos-b.conf': '' } },
    },
    'an entry that is not there': { loader: { 'loader.conf': 'default nixos-a.conf\n', entries: {} } },
    'another entry of GRUB': { grub: { 'grub.cfg': `set default=2\n${menu}` } },
    'an entry that GRUB remembers': { grub: { 'grub.cfg': `  set default="\${saved_entry}"\n${menu}` } },
  }
  for (const [title, files] of Object.entries(boots)) {
    const boot = t.testdir(files)
    t.equal(run('/bin/sh', `${functions.replaceAll('/boot', boot)}\nboot_default`).trim(), 'unknown', title)
  }
  const next = t.testdir({ grub: { 'grub.cfg': `set default="\${next_entry}"\nset default=0\n${menu}` } })
  t.match(
    run('/bin/sh', `${functions.replaceAll('/boot', next)}\nboot_default`),
    /-a$/m,
    'an entry that is chosen once',
  )
})

t.test('a profile is put back, and its own generation goes, wherever that was cut off before', async (t) => {
  for (const shell of shells)
    for (const at of ['system-2-link', 'system-1-link']) {
      const link = (to: string) => t.fixture('symlink', to)
      const here = t.testdir({
        profiles: 'system\nsystem-1-link\n',
        all: {
          system: link(at),
          'system-1-link': link('/nix/store/old'),
          'system-2-link': link('/nix/store/new'),
          'system-3-link': link('/nix/store/of-somebody-else'),
        },
      })
      const script = `${functions}
        here=${here} system_profile=${here}/all/system toplevel=/nix/store/new
        reset_profile system-1-link /nix/store/old; ls -1 ${here}/all; readlink ${here}/all/system`
      t.equal(run(shell, script), 'system\nsystem-1-link\nsystem-3-link\nsystem-1-link\n', `${at}, ${shell}`)
    }
})

t.test('the exit code of a switch is known, also where no file can be written', async (t) => {
  // Only Linux has it.
  const disks = existsSync('/dev/full') ? ['sound', 'full'] : ['sound']
  for (const shell of shells) {
    for (const [script, code] of [
      ['exit 0', 0],
      ['exit 4', 4],
      ['kill -KILL $PPID', 137],
    ] as const) {
      for (const disk of disks) {
        const here = t.testdir({ log: '', bin: { 'switch-to-configuration': `#!/bin/sh\n${script}\n` } })
        if (disk === 'full') symlinkSync('/dev/full', `${here}/switch-exit.new`)
        const said = run(
          shell,
          `${functions}
          job_ids() { :; }
          chmod +x '${here}/bin/switch-to-configuration'
          here='${here}' state=x; run_switch '${here}' test 1000 2> /dev/null; echo "$switch_exit"`,
        )
        t.equal(said, `${code}\n`, `${shell}, ${script}, a ${disk} disk`)
      }
    }
  }
})

t.test('the next line of the history is whole, whatever a power cut left of the last one', async (t) => {
  const lasts = { whole: 'a\n', half: 'a', zeros: 'a\n\0\0\0', n: 'an', nothing: '', space: 'a ' }
  for (const shell of shells)
    for (const [title, last] of Object.entries(lasts)) {
      const file = `${t.testdir({ history: last })}/history`
      run(shell, `${functions}\nend_last_line ${file}; echo next >> ${file}`)
      t.equal(readFileSync(file, 'utf8').split('\n').at(-2), 'next', `${title}, ${shell}`)
    }
})

t.test('device trees are compared file by file, however the menu names them, and written again', async (t) => {
  const menu = (line: string) =>
    `DEFAULT a\nLABEL a\n  LINUX ../nixos/k\n  INITRD ../nixos/i\n  APPEND init=/nix/store/x/init\n  ${line}\n`
  const trees = {
    short: { broadcom: { 'pi.dtb': 'tr', 'other.dtb': 'other' }, 'by-hand.dtb': '' },
    gone: undefined,
  }
  for (const shell of shells)
    for (const line of ['FDTDIR ../nixos/x-dtbs', 'FDT ../nixos/x-dtbs/broadcom/pi.dtb'])
      for (const [title, found] of Object.entries(trees)) {
        const here = t.testdir({
          boot: {
            extlinux: { 'extlinux.conf': menu(line) },
            nixos: { k: 'kernel', i: 'initrd and secrets', ...(found && { 'x-dtbs': found }) },
          },
          system: {
            kernel: 'kernel',
            initrd: 'initrd',
            dtbs: { broadcom: { 'pi.dtb': 'tree', 'other.dtb': 'other' } },
          },
        })
        const there = functions.replaceAll('/boot', `${here}/boot`)
        const damaged = `default_entry | damaged_files ${here}/system`
        const what = title === 'gone' && line.startsWith('FDTDIR') ? 'dtbs' : 'dtbs/broadcom/pi.dtb'
        const file = what.replace('dtbs', `${here}/boot/nixos/x-dtbs`)
        t.equal(run(shell, `${there}\n${damaged}; true`), `${what} ${file}\n`, `${title}, ${line}, ${shell}`)
        const repair = `default_entry | repair_files ${here}/system 2> /dev/null`
        t.equal(run(shell, `${there}\n${repair}; ${damaged}; true`), '', shell)
        t.equal(readFileSync(`${here}/boot/nixos/x-dtbs/broadcom/pi.dtb`, 'utf8'), 'tree')
        t.equal(existsSync(`${here}/boot/nixos/x-dtbs/by-hand.dtb`), title === 'short', 'what else is there stays')
      }
})

t.test(
  'a kernel that was signed is whole, unless it is short, and is never replaced by one without a signature',
  async (t) => {
    /** As far as it is looked at: where the PE header is, what kind it is, and the size of its signatures. */
    const image = (signature: number) => {
      const bytes = Buffer.alloc(1000, 'x')
      bytes.writeUInt32LE(64, 60)
      bytes.writeUInt16LE(0x20b, 64 + 24)
      bytes.writeUInt32LE(signature, 64 + 172)
      return Buffer.concat([bytes, Buffer.alloc(signature, 's')])
    }
    const short = (signature: number) => image(signature).subarray(0, 900)
    const cases: [title: string, inStore: Buffer, inBoot: Buffer, damaged: boolean, afterwards: Buffer][] = [
      ['as in the store', image(0), image(0), false, image(0)],
      ['signed', image(0), image(200), false, image(200)],
      ['signed, and short', image(0), short(200), true, short(200)],
      ['short', image(0), short(0), true, image(0)],
      ['empty', image(0), Buffer.alloc(0), true, image(0)],
      ['signed in the store', image(100), image(100), false, image(100)],
      ['signed in the store, and short', image(100), short(100), true, image(100)],
      ['signed in the store, and once more', image(100), image(200), false, image(200)],
    ]
    for (const shell of shells)
      for (const [title, inStore, inBoot, isDamaged, afterwards] of cases) {
        const here = t.testdir({ kernel: inBoot, system: { kernel: inStore } })
        const entry = `echo "kernel ${here}/kernel"`
        const said = run(shell, `${functions}\n${entry} | damaged_files ${here}/system; true`)
        t.equal(said, isDamaged ? `kernel ${here}/kernel\n` : '', `${title}, ${shell}`)
        run(shell, `${functions}\n${entry} | repair_files ${here}/system 2> /dev/null; true`)
        t.ok(readFileSync(`${here}/kernel`).equals(afterwards), `${title} afterwards, ${shell}`)
      }
  },
)

t.test('a boot menu that is empty or full of zeros is damaged, and no other', async (t) => {
  const sound = 'DEFAULT a\nLABEL a\n'
  const menus: [string, Parameters<typeof t.testdir>[0], string[]][] = [
    ['sound', { extlinux: { 'extlinux.conf': sound } }, []],
    ['written by hand', { extlinux: { 'extlinux.conf': 'ONTIMEOUT x\n' } }, []],
    ['empty', { extlinux: { 'extlinux.conf': '' } }, ['extlinux/extlinux.conf']],
    ['zeros', { extlinux: { 'extlinux.conf': `${sound}\0\0` } }, ['extlinux/extlinux.conf']],
    ['empty grub', { grub: { 'grub.cfg': '' } }, ['grub/grub.cfg']],
    ['no menu', {}, []],
    [
      'an empty entry of systemd-boot',
      { loader: { 'loader.conf': 'default a.conf\n', entries: { 'a.conf': '', 'b.conf': '' } } },
      ['loader/entries/a.conf'],
    ],
    ['an empty loader.conf', { loader: { 'loader.conf': '', entries: { 'a.conf': sound } } }, ['loader/loader.conf']],
    ['a pattern', { loader: { 'loader.conf': 'default a*\n', entries: { 'a.conf': '', 'aa.conf': '' } } }, []],
  ]
  for (const shell of shells)
    for (const [title, files, damaged] of menus) {
      const boot = t.testdir(files)
      const said = run(shell, `${functions.replaceAll('/boot', boot)}\ndamaged_menu; true`)
      t.same(
        said.split('\n').filter(Boolean),
        damaged.map((file) => `menu ${boot}/${file}`),
        `${title}, ${shell}`,
      )
    }
})

t.test('a boot file system that is not there in time is told, and nothing is written in its place', async (t) => {
  // busybox would take its own stat in place of the host's
  for (const shell of shells.filter((each) => !each.endsWith('busybox'))) {
    const here = t.testdir({ 'boot-mounts': '/boot /proc/self\n' })
    const script = `${functions}
      here=${here} reboot_seconds=1 log=; systemctl() { echo "start $*" >> ${here}/asked; }
      await_boot_mounts && echo yes || echo "no $missing_mount"
      echo '/ /' > ${here}/boot-mounts; await_boot_mounts && echo yes`
    t.equal(run(shell, script), 'no /proc/self\nyes\n', shell)
    t.match(readFileSync(`${here}/asked`, 'utf8'), /start start --no-block/)
  }
})

t.test('the entry of systemd-boot that is tried once is found by its system, and named without counters', async (t) => {
  const top = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-dave'
  const boot = t.testdir({
    loader: {
      'loader.conf': 'default nixos-generation-11.conf\n',
      entries: {
        'nixos-generation-11.conf': 'options init=/nix/store/0000000000abcdfghijklmnpqrsvwxyz-old/init\n',
        'nixos-generation-12+3-1.conf': `title NixOS\noptions init=${top}/init quiet\n`,
        'nixos-generation-12-specialisation-x.conf': `options init=${top}-x/init\n`,
        'nixos-generation-13-specialisation-y.conf': `options init=${top}/specialisation/y/init\n`,
      },
    },
  })
  const script = `${functions.replaceAll('/boot', boot)}\nentry_of ${top}\nentry_id "$(entry_of ${top})"\nentry_of ${top}-z; true`
  for (const shell of shells)
    t.same(
      run(shell, script).trim().split('\n'),
      [`${boot}/loader/entries/nixos-generation-12+3-1.conf`, 'nixos-generation-12.conf'],
      shell,
    )
})

const values = `nonce='n'
mode='switch'
new='/nix/store/b'
toplevel='/nix/store/b'
switch_seconds='60'
confirm_seconds='30'
reboot_seconds='60'
record='"id":"x"'
holder_name='ops@control'
since='2026-01-01T00:00:00.000Z'
`
const request = {
  sound: values,
  gone: '',
  code: `touch $PWD/evaluated; sleep 99\n`,
  half: values.slice(0, 90),
  binary: '\0\x01\xff\n\0=',
}
const huge = 'x'.repeat(3_000_000)
const damagedRecords: [title: string, files: Record<string, string>, state: string][] = [
  ['whole', { request: request.sound, state: 'awaiting \n' }, 'awaiting'],
  ['no request', { state: 'awaiting \n' }, 'damaged'],
  ['a request with shell code', { request: request.code, state: 'awaiting \n' }, 'damaged'],
  ['half a request', { request: request.half, state: 'confirming \n' }, 'damaged'],
  ['a binary request', { request: request.binary, state: 'activating \n' }, 'damaged'],
  [
    'a sound request with code behind it',
    { request: `${request.sound}touch evaluated\n`, state: 'awaiting \n' },
    'damaged',
  ],
  ['an empty state', { request: request.sound, state: '' }, 'damaged'],
  ['a binary state', { request: request.sound, state: '\0\x01\xff' }, 'damaged'],
  ['a huge state', { request: request.sound, state: huge }, 'damaged'],
  ['a state with a word nobody knows', { request: request.sound, state: '$(touch evaluated)\n' }, 'damaged'],
  ['going back already', { request: request.half, state: 'rolling-back it was ill\n' }, 'rolling-back'],
]
for (const shell of shells) {
  t.test(`records that are damaged are never evaluated, and tell enough to go back, in ${shell}`, async (t) => {
    for (const [title, files, state] of damagedRecords) {
      const before = 'old=/nix/store/a\nold_boot=unknown\nold_profile=/nix/store/a\nold_profile_link=system-1-link\n'
      const directory = t.testdir({ 'id-1': { before, deadline: huge, ...files, roots: {} } })
      const told = run(
        shell,
        `cd ${directory}; ln -s id-1 lock; for root in new old toplevel; do ln -s "/nix/store/$root" id-1/roots/$root; done
        ${functions.replaceAll('/run/deploy', directory)}
        systemctl() { echo ActiveState=inactive; }
        describe_lock; load id-1; echo "loaded $state $old $new"; ls`,
      )
      const isSound = files['request'] === request.sound
      t.match(told, /^lock id-1\nlock-alive (yes|no)\n/, title)
      t.notMatch(told, /pending-seconds|evaluated$/m, title)
      t.match(told, `loaded ${state} /nix/store/a /nix/store/${isSound ? 'b' : 'new'}\n`, title)
    }
  })
}

t.test('a lock that leads to no id is none, unless a deployment has a state all the same', async (t) => {
  const holderOf = (script: string) => {
    const directory = t.testdir({ 'id-1': {} })
    return run('/bin/sh', `cd ${directory}; ${script}\n${functions.replaceAll('/run/deploy', directory)}\nlock_holder`)
  }
  t.equal(holderOf('ln -s id-1 lock'), 'id-1\n')
  for (const lock of [
    ':',
    'mkdir lock',
    ': > lock',
    'ln -s ../../etc lock',
    "ln -s 'a b' lock",
    "ln -s '$(reboot)' lock",
  ]) {
    t.equal(holderOf(lock), '', lock)
    t.equal(holderOf(`${lock}; : > id-1/state`), 'id-1\n', `${lock}, and a state`)
  }
})
