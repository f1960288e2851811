import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { asNixSees, noOptions, until, untouched, Workplace } from './workplace.ts'

t.test('whatever was done to the work tree, the builder has the same tree, index and history', async (t) => {
  const workplace = new Workplace(t)
  const { repository } = workplace
  const name = fc.constantFrom('a', 'b', 'dir/a', 'dir/b', 'ü "quoted".nix', 'x.bat')
  const done = (act: (name: string, contents: string) => void) =>
    fc.tuple(name, fc.constantFrom('one\n', 'two\n', 'a\r\nb\r\n', '', '$Id$\n')).map(([file, contents]) => () => {
      if (file.startsWith('dir/') && existsSync(join(repository, 'dir')) && !existsSync(join(repository, 'dir/.')))
        return
      act(file, contents)
    })
  const ignoringRefusals = (...args: string[]) => {
    try {
      workplace.git(...args)
    } catch {
      // no such file, nothing to commit
    }
  }
  const action = fc.oneof(
    { weight: 4, arbitrary: done((file, contents) => workplace.write(file, contents)) },
    done((file) => ignoringRefusals('add', '--', file)),
    done((file) => ignoringRefusals('add', '-N', '--', file)),
    done((file) => ignoringRefusals('rm', '-q', '--cached', '--', file)),
    done((file) => ignoringRefusals('rm', '-q', '-f', '--', file)),
    done((file) => rmSync(join(repository, file), { force: true })),
    done((file) => existsSync(join(repository, file)) && chmodSync(join(repository, file), 0o755)),
    done((file) => {
      workplace.write(file, '')
      rmSync(join(repository, file))
      symlinkSync('flake.nix', join(repository, file))
    }),
    fc.constant(() => ignoringRefusals('commit', '-q', '-a', '-m', 'change')),
    fc.constant(() => ignoringRefusals('reset', '-q', '--soft', 'HEAD~1')),
    fc.constant(() => workplace.write('.gitattributes', '* text=auto\n*.bat eol=crlf\na ident\n')),
  )
  workplace.git('add', 'flake.nix')
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 12 }), async (actions) => {
      for (const act of actions) act()
      await workplace.evaluate()
      t.strictSame(asNixSees(workplace.shown), asNixSees(repository))
    }),
    { numRuns: 25, endOnFailure: true },
  )
})

t.test('a file that was to be added later and is gone makes a tree dirty, as for git', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  workplace.write('later', 'x')
  workplace.git('add', '-N', 'later')
  rmSync(join(workplace.repository, 'later'))
  await workplace.evaluate()
  t.match(asNixSees(workplace.shown), { dirty: true })
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))
})

t.test('the repository on the control machine is only read', async (t) => {
  const workplace = new Workplace(t)
  workplace.write('big', randomBytes(100_000))
  workplace.commit()
  workplace.git('config', 'core.splitIndex', 'true')
  workplace.git('update-index', '--split-index')
  workplace.write('big', randomBytes(100_000))
  workplace.write('new', 'x')
  workplace.git('add', 'new')
  const before = untouched(workplace.repository)
  await workplace.evaluate()
  t.equal(untouched(workplace.repository), before)
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))
})

t.test('a change costs kilobytes, in one command, however large the repository is', async (t) => {
  const workplace = new Workplace(t)
  const lines = Array.from({ length: 20_000 }, () => randomBytes(40).toString('hex'))
  workplace.write('large.txt', lines.join('\n'))
  workplace.commit()
  await workplace.evaluate()
  t.ok(workplace.sentBytes > 500_000, `${workplace.sentBytes} bytes the first time`)

  for (const [what, change] of Object.entries({
    'a changed line, not committed': () => workplace.write('large.txt', [...lines, 'changed'].join('\n')),
    'the same change, committed': () => workplace.commit(),
    nothing: () => {},
  })) {
    change()
    workplace.sentBytes = 0
    workplace.commands = 0
    await workplace.evaluate()
    t.ok(workplace.sentBytes < 2000, `${what}: ${workplace.sentBytes} bytes`)
    t.equal(workplace.commands, 1)
    t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))
  }
  workplace.write('staged.bin', randomBytes(300_000))
  workplace.git('add', 'staged.bin')
  await workplace.evaluate()
  workplace.sentBytes = 0
  workplace.write('flake.nix', '{ outputs = { self }: { changed = true; }; }\n')
  await workplace.evaluate()
  t.ok(workplace.sentBytes < 5000, `a large file that is only staged is sent once: ${workplace.sentBytes} bytes`)
})

t.test('files that git does not track are named in a warning and not sent', async (t) => {
  const workplace = new Workplace(t)
  workplace.write('.gitignore', 'ignored\n')
  workplace.commit()
  for (const name of ['ignored', 'a', 'b', 'c', 'd', 'dir/e', 'dir/f', 'f', 'g']) workplace.write(name, 'secret')
  await workplace.evaluate()
  t.strictSame(workplace.warnings, [
    `a, b, c, d, dir/ and 2 more in ${workplace.repository} are not tracked by git, so they are not part of the flake`,
  ])
  t.notOk(existsSync(join(workplace.shown, 'a')))
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))
})

t.test('the flake of a sub-directory is found, below and above the directory that was named', async (t) => {
  const workplace = new Workplace(t)
  workplace.write('hosts/a+b/flake.nix', '{ outputs = { self }: { }; }')
  workplace.write('hosts/a+b/modules/x.nix', '{ }')
  workplace.commit()
  for (const [directory, query] of [
    ['', ''],
    ['/hosts', ''],
    ['/hosts/a+b', '?dir=hosts/a%2Bb'],
    ['/hosts/a+b/modules', '?dir=hosts/a%2Bb'],
    ['?dir=hosts/a%2Bb', '?dir=hosts/a%2Bb'],
  ] as const) {
    await workplace.evaluate({ flake: `${workplace.repository}${directory}` })
    t.equal(workplace.reference, `git+file://${workplace.shown}${query}`)
    t.match(workplace.shown, /^\/.*\/\.cache\/deploy\/sources\/\w+\/tree-\w+-1$/)
  }
})

t.test('variables that git sets for its hooks, and configuration of the user, change nothing', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  workplace.write('a', 'changed\r\n')
  workplace.git('add', 'a')
  const config = join(workplace.place, 'gitconfig')
  const settings = [
    '[core]',
    'autocrlf = true',
    'fsmonitor = false',
    '[diff]',
    'external = false',
    '[status]',
    'short = true',
  ]
  writeFileSync(config, `${settings.join('\n')}\n`)
  const env = {
    GIT_DIR: '/nowhere',
    GIT_INDEX_FILE: '/nowhere/index',
    GIT_WORK_TREE: '/nowhere',
    GIT_CONFIG_GLOBAL: config,
    GIT_LITERAL_PATHSPECS: '1',
    GIT_EXTERNAL_DIFF: '/nowhere/diff',
  }
  await workplace.evaluate({ env })
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))
})

t.test('a linked work tree, a shallow clone, and a repository without commits are shipped as they are', async (t) => {
  const workplace = new Workplace(t)
  workplace.write('a', '1')
  workplace.git('add', '-A')
  await workplace.evaluate()
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository), 'without commits')
  for (const contents of ['2', '3', '4']) {
    workplace.write('a', contents)
    workplace.commit()
  }

  const linked = join(workplace.place, 'linked')
  workplace.git('worktree', 'add', '-q', linked, 'HEAD~1')
  writeFileSync(join(linked, 'a'), 'changed')
  const { revision } = await workplace.evaluate({ flake: linked })
  t.strictSame(asNixSees(workplace.shown), asNixSees(linked), 'a linked work tree')
  t.equal(revision, `${workplace.git('rev-parse', 'HEAD~1')}-dirty`)

  const shallow = join(workplace.place, 'shallow')
  const clone = (...args: string[]) => execFileSync('git', args, { stdio: 'pipe' })
  clone('clone', '-q', '--depth', '1', `file://${workplace.repository}`, shallow)
  for (const deeper of [0, 1]) {
    if (deeper) clone('-C', shallow, 'fetch', '-q', '--deepen', '1')
    await workplace.evaluate({ flake: shallow })
    t.strictSame(asNixSees(workplace.shown), asNixSees(shallow), 'a shallow clone')
  }
  clone('-C', shallow, 'fetch', '-q', '--unshallow')
  await workplace.evaluate({ flake: shallow })
  t.strictSame(asNixSees(workplace.shown), asNixSees(shallow), 'no longer shallow')
})

t.test('history that was rewritten, or lost on the builder, is sent again', async (t) => {
  const workplace = new Workplace(t)
  workplace.write('a', randomBytes(1000))
  workplace.commit()
  workplace.commit()
  await workplace.evaluate()
  workplace.git('reset', '-q', '--hard', 'HEAD~1')
  workplace.write('b', 'other')
  workplace.commit()
  await workplace.evaluate()
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))

  execFileSync('sh', ['-c', 'rm -rf .cache/deploy/sources/*/git/objects/*/*'], { cwd: workplace.home })
  await workplace.evaluate()
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository), 'no objects left')

  for (const emptied of ['git/HEAD', 'git/objects/pack/*', 'git/refs/deploy/*/*', 'git/config', 'tree-*/.git/*']) {
    execFileSync(
      'sh',
      [
        '-c',
        `for file in .cache/deploy/sources/*/${emptied}; do [ ! -f "$file" ] || { chmod u+w "$file"; : > "$file"; }; done`,
      ],
      {
        cwd: workplace.home,
      },
    )
    workplace.write('b', emptied)
    await workplace.evaluate()
    t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository), `a power cut has emptied ${emptied}`)
  }

  const seen = asNixSees(workplace.repository)
  writeFileSync(join(workplace.shown, 'b'), 'changed on the builder')
  mkdirSync(join(workplace.shown, '.git'), { recursive: true })
  writeFileSync(join(workplace.shown, '.git/checked-out.lock'), 'left by a power cut')
  await workplace.evaluate()
  t.strictSame(asNixSees(workplace.shown), seen, 'a work tree that was left in the middle of something')
})

t.test('two evaluations of one repository at the same time have a work tree each, and send it once', async (t) => {
  const workplace = new Workplace(t)
  workplace.write('large', randomBytes(100_000))
  workplace.commit()
  const script = [
    'echo "$reference" >> "$HOME/trees"',
    'until [ "$(wc -l < "$HOME/trees")" -ge 2 ]; do sleep 0.02; done',
    `echo '{"names":[],"found":{}}'`,
  ]
  writeFileSync(join(workplace.home, 'answers'), script.join('\n'))
  await Promise.all([workplace.evaluate(), workplace.evaluate()])
  t.ok(workplace.sentBytes < 150_000, `${workplace.sentBytes} bytes`)
  const trees = readFileSync(join(workplace.home, 'trees'), 'utf8').trim().split('\n')
  t.equal(new Set(trees).size, 2)
})

t.test('a directory that is no repository is sent with its times; a very large one is refused', async (t) => {
  const workplace = new Workplace(t)
  rmSync(join(workplace.repository, '.git'), { recursive: true })
  const file = join(workplace.repository, 'flake.nix')
  utimesSync(file, 1_000_000_000, 1_000_000_000)
  writeFileSync(
    join(workplace.home, 'answers'),
    'cd "$(echo "$reference" | sed "s/^path://; s/#.*//")" && stat -c "%n %Y" flake.nix > "$HOME/seen"; echo {}',
  )
  await t.rejects(workplace.evaluate({ flake: `${workplace.repository}/missing` }), { message: /is not a directory$/ })
  await workplace.evaluate().catch(() => undefined)
  t.match(workplace.reference, /^path:/)
  t.equal(readFileSync(join(workplace.home, 'seen'), 'utf8'), 'flake.nix 1000000000\n')
  await until(() => !existsSync(workplace.reference.slice('path:'.length)))

  execFileSync('fallocate', ['-l', '300M', join(workplace.repository, 'image.raw')])
  await t.rejects(workplace.evaluate(), {
    message: `${workplace.repository} holds 301 MiB, which is too much to send each time`,
    hints: [/^make it a git repository/, /./],
  })
})

t.test('a very large repository is refused before anything of it is sent, and not for what is there', async (t) => {
  const workplace = new Workplace(t)
  workplace.write('image.raw', randomBytes(1000))
  workplace.commit()
  const id = workplace.git('rev-parse', 'HEAD:image.raw')
  const object = join(workplace.repository, '.git/objects', id.slice(0, 2), id.slice(2))
  const size = statSync(object).size
  chmodSync(object, 0o644)
  // As much as it would be, and a hole on the disk.
  truncateSync(object, 1.2e9)
  await t.rejects(workplace.evaluate(), {
    message: `the builder lacks 1.2 GB of the repository of ${workplace.repository}, which is too much to send`,
    hints: [/^give it a repository of its own/, /git\+ssh/],
    stage: 'evaluate',
  })
  t.ok(workplace.sentBytes < 2000, `${workplace.sentBytes} bytes`)
  truncateSync(object, size)
  await workplace.evaluate()
  truncateSync(object, 1.2e9)
  workplace.write('a', 'x')
  workplace.commit()
  await workplace.evaluate()
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))
})

t.test('inputs that are on the control machine are shipped as well; other references are passed on', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  const secrets = join(workplace.place, 'secrets')
  mkdirSync(secrets)
  writeFileSync(join(secrets, 'data'), 'x')
  const other = new Workplace(t)
  other.commit()
  await workplace.evaluate(
    { inputs: { secrets, tools: other.repository, nixpkgs: '/replaced' } },
    { ...noOptions, impure: true, options: [['cores', '2']], overrideInputs: [['nixpkgs', 'github:NixOS/nixpkgs']] },
  )
  const words = workplace.asked()[0] ?? []
  const after = words.slice(words.findIndex((word) => word.endsWith('#nixosConfigurations')) + 1)
  t.match(
    after.join(' '),
    /^--impure --option cores 2 --override-input secrets path:\S+\/source --override-input tools git\+file:\S+ --override-input nixpkgs github:NixOS\/nixpkgs$/,
  )
  t.ok(words.includes('--no-write-lock-file'))

  writeFileSync(
    join(workplace.home, 'answers'),
    `case $* in *metadata*) echo '{"revision":"abc"}' ;; *) echo '{"names":[],"found":{}}' ;; esac`,
  )
  const { revision } = await workplace.evaluate({ flake: 'github:owner/hosts?dir=a' })
  t.equal(workplace.asked()[0]?.includes('github:owner/hosts?dir=a#nixosConfigurations'), true)
  t.equal(revision, 'abc', 'the evaluator is asked for the revision')
})

t.test('submodules, and those in them, are sent where Nix is to look at them, and only what has changed', async (t) => {
  const workplace = new Workplace(t)
  const [library, inner] = [new Workplace(t), new Workplace(t)]
  for (const one of [inner, library]) {
    one.write('large', randomBytes(100_000))
    one.commit()
  }
  const allowed = ['-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add']
  library.git(...allowed, inner.repository, 'inner part')
  library.commit()
  workplace.git(...allowed, library.repository, 'vendor/library')
  workplace.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'update', '--init', '--recursive')
  workplace.git(...allowed, inner.repository, 'absent')
  workplace.commit()
  rmSync(join(workplace.repository, 'absent/.git'))
  const flake = `${workplace.repository}?submodules=1`
  const sameThere = (what: string) => {
    for (const place of ['', 'vendor/library', 'vendor/library/inner part']) {
      t.strictSame(
        asNixSees(join(workplace.shown, place)),
        asNixSees(join(workplace.repository, place)),
        `${what}: ${place}`,
      )
    }
  }
  await workplace.evaluate()
  t.ok(workplace.sentBytes < 100_000, 'nobody asked for them')
  await workplace.evaluate({ flake })
  t.equal(workplace.reference, `git+file://${workplace.shown}?submodules=1`)
  t.ok(workplace.sentBytes > 200_000)
  sameThere('clean')
  t.strictSame(workplace.warnings, [
    `absent in ${workplace.repository} is not checked out: the builder has to fetch it itself`,
  ])

  workplace.sentBytes = 0
  workplace.write('vendor/library/inner part/new', 'x')
  workplace.git('-C', 'vendor/library/inner part', 'add', 'new')
  await workplace.evaluate({ flake })
  sameThere('changed in the innermost')
  workplace.git(
    '-C',
    'vendor/library/inner part',
    '-c',
    'user.name=x',
    '-c',
    'user.email=x',
    'commit',
    '-q',
    '-m',
    'new',
  )
  workplace.git('-C', 'vendor/library', 'add', '-A')
  await workplace.evaluate({ flake })
  sameThere('another commit there')
  workplace.git('rm', '-q', '-f', 'vendor/library')
  await workplace.evaluate({ flake })
  t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository), 'taken away')
  t.ok(workplace.sentBytes < 10_000, `${workplace.sentBytes} bytes`)
})

t.test('an input that this machine is to fetch is sent as the commit that flake.lock names, and once', async (t) => {
  const workplace = new Workplace(t)
  const library = new Workplace(t)
  library.write('large', randomBytes(200_000))
  library.commit()
  const rev = library.git('rev-parse', 'HEAD')
  const url = `file://${library.repository}`
  const lock = (locked: object) =>
    workplace.write(
      'flake.lock',
      JSON.stringify({ root: 'r', nodes: { r: { inputs: { library: 'l', a: ['b'] } }, l: { locked } } }),
    )
  const evaluate = () =>
    workplace.evaluate({ inputs: { library: { fetch: 'here' } }, env: { HOME: join(workplace.place, 'here') } })
  workplace.commit()
  await t.rejects(evaluate(), { message: /flake\.lock, which says what to fetch$/ })
  lock({ type: 'github', owner: 'x' })
  workplace.commit()
  await t.rejects(evaluate(), {
    message: 'flake.lock has no input library that is a git repository',
    hints: ['it has none at all'],
  })

  lock({ type: 'git', url, rev, ref: 'refs/heads/main' })
  workplace.commit()
  writeFileSync(
    join(workplace.home, 'answers'),
    `git ls-remote ${url} > "$HOME/remote"; echo '{"names":["dave"],"found":{}}'`,
  )
  // What has come since is not asked for.
  library.write('new', 'x')
  library.commit()
  await evaluate()
  t.ok(workplace.sentBytes > 200_000)
  t.notOk(workplace.asked()[0]?.includes('--override-input'), 'flake.lock holds as it is')
  const remote = readFileSync(join(workplace.home, 'remote'), 'utf8')
  t.match(remote, new RegExp(`^${rev}\tHEAD$`, 'm'), 'git on the builder finds it where it was sent')
  t.match(remote, new RegExp(`^${rev}\trefs/heads/main$`, 'm'))
  workplace.sentBytes = 0
  await evaluate()
  t.ok(workplace.sentBytes < 2000, `${workplace.sentBytes} bytes`)

  lock({ type: 'git', url, rev: '1'.repeat(40) })
  await t.rejects(evaluate(), { message: `${url} has no longer the commit that flake.lock names` })
  lock({ type: 'git', url: `${url}-gone`, rev })
  await t.rejects(evaluate(), {
    message: `git could not fetch ${url}-gone on this machine`,
    detail: /does not exist|not appear/,
  })
})

t.test('a flake that git does not track, or that is not there, is refused before anything is sent', async (t) => {
  const workplace = new Workplace(t)
  await t.rejects(workplace.evaluate(), {
    message: `flake.nix in ${workplace.repository} is not tracked by git, so it is no part of the flake`,
    hints: [`git -C ${workplace.repository} add flake.nix`],
    stage: 'evaluate',
  })
  rmSync(join(workplace.repository, 'flake.nix'))
  await t.rejects(workplace.evaluate(), { message: `no flake.nix in ${workplace.repository}` })
  await t.rejects(workplace.evaluate({ flake: `${workplace.repository}?ref=main` }), {
    message: /ref can't be chosen$/,
  })
  t.equal(workplace.commands, 0)
})

t.test('one broken configuration does not stop the others, and each has its own error', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  const log = (level: number, msg: string) => `echo '@nix ${JSON.stringify({ action: 'msg', level, msg })}' >&2`
  const drv = `/nix/store/${'0'.repeat(32)}-system.drv`
  writeFileSync(
    join(workplace.home, 'answers'),
    `
    case $* in
      *'"erin"'*) ${log(0, 'error: erin is wrong')}; ${log(1, 'warning: old option')}; exit 1 ;;
      *) echo '{"names":["dave","erin"],"found":{"dave":{"derivation":"${drv}","system":"aarch64-linux"}}}' ;;
    esac`,
  )
  const signal = new AbortController().signal
  const { configurations } = await workplace
    .builder()
    .evaluate(['dave', 'erin', 'davy'], noOptions, workplace.events, signal)
  t.match(configurations.get('dave'), { derivation: drv, system: 'aarch64-linux' })
  t.match(configurations.get('erin'), {
    message: 'evaluation of erin failed',
    detail: 'error: erin is wrong',
    stage: 'evaluate',
  })
  t.match(configurations.get('davy'), {
    message: 'the flake has no nixosConfigurations.davy',
    hints: ['did you mean dave?', 'it has dave, erin'],
  })
  t.strictSame(workplace.warnings, ['old option'], 'a warning is told once')

  writeFileSync(join(workplace.home, 'answers'), `${log(0, 'error: syntax error')}; exit 1`)
  rmSync(join(workplace.home, 'asked'))
  const broken = await workplace.builder().evaluate(['dave', 'erin', 'davy'], noOptions, workplace.events, signal)
  t.strictSame(
    [...broken.configurations.values()].map((value) => 'detail' in value && value.detail),
    Array(3).fill('error: syntax error'),
  )
  t.equal(
    workplace.asked().filter((words) => words.length > 1).length,
    2,
    'a flake that is broken as a whole is not asked for each',
  )
})

t.test('the broken one of several is found with few evaluations', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  const drv = `/nix/store/${'0'.repeat(32)}-system.drv`
  writeFileSync(
    join(workplace.home, 'answers'),
    `
    case $* in *'"host-5"'*) exit 1 ;; esac
    found=$(printf '%s\\n' "$@" | sed -n 's|^    "\\([^"]*\\)" = null;$|"\\1": {"derivation":"${drv}","system":"x86_64-linux"},|p' | tr -d '\\n')
    echo '{"names":[],"found":{'"$(printf '%s' "$found" | sed 's/,$//')"'}}'`,
  )
  // Few enough for the memory of any computer.
  const names = Array.from({ length: 6 }, (_, index) => `host-${index}`)
  const signal = new AbortController().signal
  const { configurations } = await workplace.builder().evaluate(names, noOptions, workplace.events, signal)
  t.same([...configurations.keys()], names)
  const broken = [...configurations].flatMap(([name, result]) => ('derivation' in result ? [] : [name]))
  t.same(broken, ['host-5'])
  t.equal(workplace.asked().filter((words) => words.length > 1).length, 6, 'all, none, and two in each of two halvings')
})

t.test('configurations that the builder has no memory for at once are evaluated in groups', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  // More than this computer can have memory for.
  const count = Math.ceil(totalmem() / 2 ** 29)
  const names = Array.from({ length: count }, (_, index) => `host-${index}`)
  const drv = `/nix/store/${'0'.repeat(32)}-system.drv`
  // Those that are asked for, in Nix's own order.
  writeFileSync(
    join(workplace.home, 'answers'),
    `
    found=$(printf '%s\\n' "$@" | sed -n 's|^    "\\([^"]*\\)" = null;$|"\\1": {"derivation":"${drv}","system":"x86_64-linux"},|p' | tr -d '\\n')
    case $found in *'"host-7"'*) printf '%s' "$found" | grep -o host- | wc -l > "$HOME/first" ;; esac
    echo '{"names":["host-0"],"found":{'"$(printf '%s' "$found" | sed 's/,$//')"'}}'`,
  )
  const { configurations } = await workplace
    .builder()
    .evaluate(names, noOptions, workplace.events, new AbortController().signal)
  t.equal(configurations.size, names.length)
  t.ok([...configurations.values()].every((one) => 'derivation' in one))
  const questions = workplace.asked().filter((words) => words.length > 1).length
  const first = Number(readFileSync(join(workplace.home, 'first'), 'utf8'))
  t.ok(questions > 1, `${questions} evaluations`)
  t.equal(Math.ceil(names.length / first), questions, 'each but the last as large as the first')
  t.match(workplace.progress.join('\n'), new RegExp(`^evaluating host-0, .*: no memory for all ${count} at once$`, 'm'))

  const few = await workplace.builder().evaluate(['host-1'], noOptions, workplace.events, new AbortController().signal)
  t.equal(few.configurations.size, 1, 'one is tried in any case')
})

t.test('several hundred configurations are asked for at once', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  const names = Array.from({ length: 700 }, (_, index) => `machine-${index}.of.a.large.fleet.example`)
  const drv = `/nix/store/${'0'.repeat(32)}-system.drv`
  writeFileSync(
    join(workplace.home, 'answers'),
    `
    found=$(printf '%s\\n' "$@" | sed -n 's|^    "\\([^"]*\\)" = null;$|"\\1": {"derivation":"${drv}","system":"x86_64-linux"},|p' | tr -d '\\n')
    echo '{"names":[],"found":{'"$(printf '%s' "$found" | sed 's/,$//')"'}}'`,
  )
  const { configurations } = await workplace
    .builder()
    .evaluate(names, noOptions, workplace.events, new AbortController().signal)
  t.strictSame([...configurations.keys()], names)
  t.ok([...configurations.values()].every((one) => 'derivation' in one))
})

t.test('when the control machine stops waiting, nothing goes on running on the builder', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  writeFileSync(join(workplace.home, 'wait'), '')
  const pid = join(workplace.home, 'pid')
  const abort = new AbortController()
  const evaluation = workplace.builder().evaluate(['dave'], noOptions, workplace.events, abort.signal)
  await until(() => existsSync(pid) && readFileSync(pid, 'utf8') !== '')
  abort.abort(new Error('enough'))
  await t.rejects(evaluation, { message: 'enough' })
  const process = `/proc/${readFileSync(pid, 'utf8').trim()}`
  await until(() => !existsSync(process))
})

t.test('sources that nobody asked for in a month are removed', async (t) => {
  const workplace = new Workplace(t)
  workplace.commit()
  await workplace.evaluate()
  const sources = join(workplace.home, '.cache/deploy/sources')
  const old = join(sources, 'old')
  mkdirSync(old)
  const month = Date.now() / 1000 - 32 * 24 * 3600
  utimesSync(old, month, month)
  const kept = workplace.shown.replace(/\/tree-.*/, '')
  utimesSync(kept, month + 3 * 24 * 3600, month + 3 * 24 * 3600)
  await workplace.evaluate({ flake: 'github:a/b' })
  t.notOk(existsSync(old))
  t.ok(existsSync(kept))
})

t.test('inputs that this machine fetched and nobody asked for in a month are removed', async (t) => {
  const workplace = new Workplace(t)
  const library = new Workplace(t)
  library.commit()
  const locked = { type: 'git', url: `file://${library.repository}`, rev: library.git('rev-parse', 'HEAD') }
  workplace.write(
    'flake.lock',
    JSON.stringify({ root: 'r', nodes: { r: { inputs: { library: 'l' } }, l: { locked } } }),
  )
  workplace.commit()
  const env = { HOME: join(workplace.place, 'here') }
  await workplace.evaluate({ inputs: { library: { fetch: 'here' } }, env })
  const kept = join(env.HOME, '.cache/deploy/inputs')
  const [name = ''] = readdirSync(kept)
  const aged = (days: number) => {
    const then = Date.now() / 1000 - days * 24 * 3600
    utimesSync(join(kept, name), then, then)
  }
  aged(29)
  await workplace.evaluate({ env })
  t.strictSame(readdirSync(kept), [name])
  aged(29)
  await workplace.evaluate({ inputs: { library: { fetch: 'here' } }, env })
  t.ok(Date.now() - statSync(join(kept, name)).mtimeMs < 24 * 3600_000, 'the last use counts')
  aged(32)
  await workplace.evaluate({ env })
  t.strictSame(readdirSync(kept), [])
  await workplace.evaluate({ env: { HOME: '' } })
})

for (const shell of ['/bin/bash', '/bin/dash', '/usr/bin/zsh', '/usr/bin/fish']) {
  t.test(
    `it works with ${shell} as the builder's login shell`,
    { skip: !existsSync(shell) && 'not installed' },
    async (t) => {
      const workplace = new Workplace(t)
      workplace.shell = shell
      workplace.commit()
      workplace.write(`it's "odd" \\ $HOME`, 'x')
      workplace.git('add', '-A')
      await workplace.evaluate()
      t.strictSame(asNixSees(workplace.shown), asNixSees(workplace.repository))
    },
  )
}
