/** Flakes that are evaluated and built on other machines: Nix 2.26 on forge, the newest on frank, 2.8 on grace. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { BuilderEvents, EvaluationOptions } from '../../lib/builders/builder.ts'
import { builderOf } from '../../lib/builders/compose.ts'
import { nixMachine } from '../../lib/builders/nix-machine.ts'
import type { InputSource } from '../../lib/inventory/inventory.ts'
import { systemClock } from '../../lib/edge/clock.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import { commandLine } from '../../lib/machine/command.ts'
import type { Machine } from '../../lib/machine/machine.ts'
import { Problem } from '../../lib/problem.ts'
import { armBusybox, hostProcesses, inside, ssh, sshCommand, up, whyNoLab } from '../lab/lab.mjs'
import { seen } from './eventually.ts'

const skip = whyNoLab() ?? false
const evaluators = ['forge', 'frank', 'grace']

t.before(async () => {
  if (!skip) await up(evaluators)
})

const signal = new AbortController().signal
const noOptions: EvaluationOptions = {
  impure: false,
  showTrace: false,
  refresh: false,
  options: [],
  overrideInputs: [],
}

/** Everything that Nix tells a flake about itself is in this derivation, and so in its path. */
const flake = `{
  inputs.secrets = { url = "path:/nowhere"; flake = false; };
  outputs = { self, ... }@inputs: let
    system = name: about: {
      config.nixpkgs.hostPlatform.system = "aarch64-linux";
      config.system.build.toplevel = derivation ({
        inherit name;
        system = "x86_64-linux";
        builder = "/bin/sh";
        PATH = "/bin:/usr/bin";
        args = [ "-euc" "mkdir $out; echo $name > $out/name" ];
      } // about);
    };
    generated = name: script: derivation {
      inherit name;
      system = builtins.currentSystem or "x86_64-linux";
      builder = "/bin/sh";
      PATH = "/bin:/usr/bin";
      args = [ "-euc" script ];
      text = builtins.readFile ./text;
    };
  in {
    nixosConfigurations = {
      dave = system "dave" {
        source = self.outPath;
        about = builtins.toJSON (removeAttrs self.sourceInfo [ "outPath" ]);
        text = builtins.readFile ./text;
      };
      erin = system "erin" { secret = builtins.readFile "\${inputs.secrets}/data"; time = toString inputs.secrets.lastModified; };
      impure = system "impure" { here = builtins.currentSystem; };
      broken = throw "this one is broken";
      needy = system "needy" { dependency = (system "nginx" { args = [ "-c" "echo no such header; exit 3" ]; }).config.system.build.toplevel; };
      library = system "library" { source = self.outPath; text = builtins.readFile ./lib/text; about = builtins.toJSON (removeAttrs self.sourceInfo [ "outPath" ]); };
      addressed = system "addressed" { text = builtins.readFile ./text; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
      sleepy = system "sleepy" { args = [ "-euc" "echo asleep; sleep 4; mkdir $out" ]; text = builtins.readFile ./text; };
      importing = system "importing" { found = import (generated "generated" "sleep 1; echo 1 > $out"); };
      importingBroken = system "importing" { found = import (generated "ungenerated" "echo no cheese; exit 3"); };
      "odd \\"name\\" \${"$"}{x}" = system "odd" { };
      arm = system "arm" { system = "aarch64-linux"; builder = "\${./arm}/busybox"; args = [ "sh" "-euc" "$builder mkdir $out; $builder uname -m > $out/machine" ]; text = builtins.readFile ./text; };
      slow = builtins.foldl' (a: b: a + builtins.foldl' (c: d: c + d) 0 (builtins.genList (x: x) 100000)) 0 (builtins.genList (x: x) 1000000);
    };
  };
}`

/** A repository on the control machine, and builders that get it. */
class Workplace {
  readonly place = mkdtempSync(join(tmpdir(), 'builder-scenario-'))
  readonly repository = join(this.place, 'infra')
  readonly secrets = join(this.place, 'secrets')
  readonly warnings: string[] = []
  readonly progress: string[] = []

  constructor(test: Test) {
    test.teardown(() => rmSync(this.place, { recursive: true }))
    for (const directory of ['', 'hosts/pi', 'modules']) {
      mkdirSync(join(this.repository, directory), { recursive: true })
      this.write(join(directory, 'text'), directory)
      if (directory !== 'modules') this.write(join(directory, 'flake.nix'), flake)
    }
    this.write('run', '#!/bin/sh\n')
    chmodSync(join(this.repository, 'run'), 0o755)
    symlinkSync('text', join(this.repository, 'link'))
    mkdirSync(this.secrets)
    writeFileSync(join(this.secrets, 'data'), 'secret')
    this.git('init', '-q', '-b', 'main')
    this.commit()
    this.commit()
  }

  readonly #identity = ['-c', 'user.name=ops', '-c', 'user.email=ops@localhost', '-c', 'commit.gpgsign=false']

  git(...args: string[]): string {
    return execFileSync('git', ['-C', this.repository, ...this.#identity, ...args], { stdio: 'pipe' })
      .toString()
      .trim()
  }

  commit(): void {
    this.git('add', '-A')
    this.git('commit', '-q', '--allow-empty', '-m', 'change')
  }

  write(file: string, contents: string): void {
    writeFileSync(join(this.repository, file), contents)
  }

  get events(): BuilderEvents {
    return {
      progress: (text) => void this.progress.push(text),
      warning: (text) => void this.warnings.push(text),
      note: (text) => void this.progress.push(text),
      log: () => undefined,
    }
  }

  builder(test: Test, name: string, directory = this.repository) {
    const machine = this.machine(test, name, directory)
    return builderOf(name, { evaluator: machine, store: machine, clock: systemClock })
  }

  machine(test: Test, name: string, directory = this.repository) {
    const here = localMachine()
    const inputs = new Map([['secrets', this.secrets]])
    const machine = nixMachine({ name, here, flake: directory, inputs, connect: async () => overSsh(name) })
    test.teardown(() => Promise.all([machine.close(), here.close()]))
    return machine
  }

  /** The derivation that our way gives. */
  async derivation(test: Test, name: string, configuration: string, directory = '') {
    const builder = this.builder(test, name, join(this.repository, directory))
    const { configurations, revision } = await builder.evaluate([configuration], noOptions, this.events, signal)
    const result = configurations.get(configuration)
    if (!result || result instanceof Problem) throw new Error(`${result?.message}\n${result?.detail}`)
    return { derivation: result.derivation, system: result.system, revision }
  }

  /** Another repository, and a bare clone of it in library.git. */
  makeLibrary(): void {
    const library = join(this.place, 'library')
    mkdirSync(library)
    writeFileSync(join(library, 'text'), `${Math.random()}`)
    const git = (...args: string[]) => execFileSync('git', [...this.#identity, ...args], { stdio: 'pipe' })
    git('init', '-q', '-b', 'main', library)
    git('-C', library, 'add', '-A')
    git('-C', library, 'commit', '-q', '-m', 'library')
    git('clone', '-q', '--bare', library, join(this.place, 'library.git'))
  }

  /** A repository in the repository, which knows it by that URL. */
  addSubmodule(url: string): void {
    this.makeLibrary()
    this.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', join(this.place, 'library.git'), 'lib')
    this.git('config', '--file', '.gitmodules', 'submodule.lib.url', url)
    this.commit()
  }

  /** A script in a copy of the repository on a machine whose git finds the library by that URL. */
  async onCopy(name: string, url: string, script: string): Promise<string> {
    const archive = execFileSync('tar', ['-C', this.place, '-cf', '-', 'infra', 'library.git'], { maxBuffer: 1e8 })
    const { code, stdout, stderr } = await ssh(
      name,
      `rm -rf copy; mkdir copy; tar -xf - -C copy; cd copy/infra; export GIT_CONFIG_COUNT=1 \\
       GIT_CONFIG_KEY_0="url.$HOME/copy/library.git.insteadOf" GIT_CONFIG_VALUE_0=${url}; ${script}`,
      { input: archive },
    )
    if (code !== 0) throw new Error(stderr)
    return stdout
  }

  /** The one that `nix eval` gives in a copy of the same tree on the same machine, .git and all. */
  async reference(name: string, configuration: string, directory = '', query = ''): Promise<string> {
    const archive = execFileSync('tar', ['-C', this.place, '-cf', '-', '.'], { maxBuffer: 1e8 })
    const options = [
      "--extra-experimental-features 'nix-command flakes' eval --raw --no-write-lock-file",
      '--override-input secrets "$HOME/reference/secrets"',
    ].join(' ')
    const git =
      query &&
      `export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=protocol.file.allow GIT_CONFIG_VALUE_0=always \\
      GIT_CONFIG_KEY_1="url.$HOME/reference/library.git.insteadOf" GIT_CONFIG_VALUE_1=ssh://git@unreachable.lab/library.git;`
    const script = `rm -rf reference; mkdir reference; tar -xf - -C reference; ${git} exec nix ${options} \\
      "$HOME/reference/infra/${directory}${query}#nixosConfigurations.${configuration}.config.system.build.toplevel.drvPath"`
    const { code, stdout, stderr } = await ssh(name, script, { input: archive })
    if (code !== 0) throw new Error(stderr)
    return stdout.trim()
  }
}

/** A machine of the lab by way of a real sshd. */
function overSsh(name: string): Machine {
  const machine = localMachine({ name })
  const open: Machine['open'] = (command, abort) =>
    machine.open({ argv: [...sshCommand(name), '--', commandLine(command, 'none')] }, abort)
  return { ...machine, open }
}

for (const name of evaluators) {
  t.test(`${name} evaluates to what nix eval gives in the same tree`, { skip }, async (t) => {
    const workplace = new Workplace(t)
    const same = async (what: string, directory = '') => {
      const { derivation, system } = await workplace.derivation(t, name, 'dave', directory)
      t.equal(derivation, await workplace.reference(name, 'dave', directory), what)
      t.equal(system, 'aarch64-linux', 'the host platform, not where it is built')
    }
    await same('clean')
    await same('clean, in a sub-directory', 'hosts/pi')
    const { revision } = await workplace.derivation(t, name, 'dave')
    t.equal(revision, workplace.git('rev-parse', 'HEAD'))

    workplace.write('text', 'changed')
    await same('changed')
    await same('changed outside the sub-directory', 'hosts/pi')
    workplace.write('hosts/pi/text', 'changed')
    await same('changed in the sub-directory', 'hosts/pi')
    t.equal((await workplace.derivation(t, name, 'dave')).revision, `${workplace.git('rev-parse', 'HEAD')}-dirty`)

    workplace.git('checkout', '-q', '.')
    workplace.write('new', 'new')
    await same('with a file that git does not track')
    t.match(workplace.warnings.at(-1), /^new in .* is not tracked by git/)
    workplace.git('add', '-N', 'new')
    await same('with a file that git is to track')
    workplace.git('add', 'new')
    await same('with a staged file')
    rmSync(join(workplace.repository, 'new'))
    rmSync(join(workplace.repository, 'modules/text'))
    await same('with deleted files')
    workplace.git('rm', '-q', '--cached', 'hosts/pi/text')
    chmodSync(join(workplace.repository, 'run'), 0o644)
    rmSync(join(workplace.repository, 'link'))
    symlinkSync('gone', join(workplace.repository, 'link'))
    await same('with a changed mode, a changed link and a file that is no longer tracked')

    workplace.git('reset', '-q', '--hard')
    workplace.write('text', 'one\n')
    workplace.git('add', 'text')
    workplace.write('text', workplace.git('show', 'HEAD:text'))
    await same('staged, then taken back in the work tree')
    workplace.git('checkout', '-q', '--detach', 'HEAD~1')
    await same('an older commit')
    rmSync(join(workplace.repository, '.git'), { recursive: true })
    workplace.git('init', '-q')
    workplace.git('add', '-A')
    await same('no commit yet')
    rmSync(join(workplace.repository, '.git'), { recursive: true })
    await same('no repository')
  })

  const url = name === 'forge' ? 'ssh://git@unreachable.lab/library.git' : '../library.git'
  t.test(`${name} evaluates a repository with a submodule, known as ${url}, as nix eval does`, { skip }, async (t) => {
    const workplace = new Workplace(t)
    workplace.addSubmodule(url)
    const query = '?submodules=1'
    const same = async (what: string) => {
      const { derivation } = await workplace.derivation(t, name, 'library', query)
      t.equal(derivation, await workplace.reference(name, 'library', '', query), what)
    }
    await same('clean')
    workplace.write('lib/text', 'changed')
    await same('changed in the submodule alone')
    workplace.write('text', 'changed')
    await same('changed in both')
    t.strictSame(workplace.warnings, [])
  })

  t.test(`${name}: an input that only the control machine has is the same as there`, { skip }, async (t) => {
    const workplace = new Workplace(t)
    const { derivation } = await workplace.derivation(t, name, 'erin')
    t.equal(derivation, await workplace.reference(name, 'erin'))
    t.strictSame(workplace.warnings, [])
  })

  t.test(`${name}: what is broken is told for each configuration, as Nix shows it`, { skip }, async (t) => {
    const workplace = new Workplace(t)
    const builder = workplace.builder(t, name)
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Nix would read it as one too
    const odd = 'odd "name" ${x}'
    const asked = ['dave', 'broken', odd, 'davy']
    const { configurations } = await builder.evaluate(asked, noOptions, workplace.events, signal)
    t.match(configurations.get('dave'), { system: 'aarch64-linux' })
    t.match(configurations.get(odd), { system: 'aarch64-linux' })
    t.match(configurations.get('broken'), {
      message: 'evaluation of broken failed',
      detail: /error:\S* this one is broken/,
    })
    t.match(configurations.get('davy'), { hints: ['did you mean dave?', /broken, dave/] })

    const pure = await builder.evaluate(['impure'], noOptions, workplace.events, signal)
    t.match(pure.configurations.get('impure'), { message: 'evaluation of impure failed' })
    const impure = await builder.evaluate(['impure'], { ...noOptions, impure: true }, workplace.events, signal)
    t.notOk(impure.configurations.get('impure') instanceof Problem)

    const trace = { ...noOptions, showTrace: true, options: [['warn-dirty', 'false']] as const }
    const traced = await builder.evaluate(['broken'], trace, workplace.events, signal)
    t.match(traced.configurations.get('broken'), { detail: /while evaluating/ })
  })

  t.test(`${name}: an evaluation that nobody waits for any more is ended`, { skip }, async (t) => {
    const workplace = new Workplace(t)
    const abort = new AbortController()
    const running = () => hostProcesses(name).filter(({ argv }) => argv.includes('eval') || argv.includes('deploy'))
    const evaluation = workplace.builder(t, name).evaluate(['slow'], noOptions, workplace.events, abort.signal)
    await seen('nix evaluates', () => running().some(({ argv }) => argv[0] === 'nix'))
    abort.abort(new Error('enough'))
    await t.rejects(evaluation, { message: 'enough' })
    await seen('it is ended', () => running().length === 0)
    t.strictSame(running(), [])
  })
}

t.test('builds end in store paths, and a failing one does not stop the others', { skip }, async (t) => {
  const workplace = new Workplace(t)
  workplace.write('text', `${Math.random()}`)
  const builder = workplace.builder(t, 'forge')
  const { configurations } = await builder.evaluate(['dave', 'erin', 'needy'], noOptions, workplace.events, signal)
  const derivationOf = (name: string) => {
    const result = configurations.get(name)
    if (!result || result instanceof Problem) throw new Error(name)
    return result.derivation
  }
  const [dave, erin, needy] = [derivationOf('dave'), derivationOf('erin'), derivationOf('needy')]
  const built = await builder.build([needy, dave, erin], workplace.events, signal)
  const problem = built.get(needy)
  t.match(problem, { message: 'build of needy failed', stage: 'build', detail: /no such header/ })
  const [, log] = /nix log (\S+) \(on forge\)/.exec(problem instanceof Problem ? (problem.hints[0] ?? '') : '') ?? []
  t.match(await ssh('forge', `nix --extra-experimental-features nix-command log ${log}`), {
    stdout: 'no such header\n',
  })
  t.match(await ssh('forge', `cat ${built.get(dave)}/name ${built.get(erin)}/name`), { stdout: 'dave\nerin\n' })
  t.ok(workplace.progress.some((text) => /^building dave/.test(text)))

  const store = await builder.openStore(signal)
  const out = built.get(dave)
  if (!out || out instanceof Problem) throw new Error('not built')
  t.strictSame([...(await store.queryValidPaths([out], { substitute: false }))], [out], 'the store has what was built')
  store.close()
})

t.test('derivations that were collected after the evaluation are evaluated once more', { skip }, async (t) => {
  const workplace = new Workplace(t)
  workplace.write('text', `${Math.random()}`)
  const builder = workplace.builder(t, 'forge')
  const { configurations } = await builder.evaluate(['dave'], noOptions, workplace.events, signal)
  const dave = configurations.get('dave')
  if (!dave || dave instanceof Problem) throw new Error('not evaluated')
  t.equal((await ssh('forge', `nix-store --delete ${dave.derivation}`)).code, 0)
  const built = await builder.build([dave.derivation], workplace.events, signal)
  t.match(built.get(dave.derivation), /^\/nix\/store\/.*-dave$/)
})

for (const name of evaluators) {
  t.test(`${name}: what was built is kept from the garbage collector until nobody needs it`, { skip }, async (t) => {
    const workplace = new Workplace(t)
    workplace.write('text', `${Math.random()}`)
    const builder = workplace.builder(t, name)
    const { configurations } = await builder.evaluate(['dave'], noOptions, workplace.events, signal)
    const dave = configurations.get('dave')
    if (!dave || dave instanceof Problem) throw new Error('not evaluated')
    const needed = new AbortController()
    const built = await builder.build([dave.derivation], workplace.events, needed.signal)
    const collect = `nix-store --delete ${built.get(dave.derivation)}`
    t.match(await ssh(name, collect), { code: 1, stderr: 'alive' })
    needed.abort()
    await seen('it is let go', async () => (await ssh(name, collect)).code === 0)
  })
}

for (const name of ['forge', 'grace']) {
  t.test(`${name}: a private input that only this machine's git can fetch`, { skip }, async (t) => {
    const workplace = new Workplace(t)
    const url = 'ssh://git@unreachable.lab/library.git'
    workplace.makeLibrary()
    const inputs = `inputs.private = { url = "git+${url}"; flake = false; };`
    const system = `config.nixpkgs.hostPlatform.system = "x86_64-linux"; config.system.build.toplevel = derivation {
      name = "private"; system = "x86_64-linux"; builder = "/bin/sh"; text = builtins.readFile "\${private}/text";
      about = builtins.toJSON (removeAttrs private [ "outPath" ]); source = "\${private}"; };`
    workplace.write(
      'flake.nix',
      `{ ${inputs} outputs = { private, ... }: { nixosConfigurations.dave = { ${system} }; }; }`,
    )
    workplace.commit()
    // On another machine, so that the builder has seen nothing of it.
    workplace.write('flake.lock', await workplace.onCopy('frank', url, 'nix flake lock >&2 && cat flake.lock'))
    workplace.commit()

    const evaluated = async (fetch: Map<string, InputSource>) => {
      const setting = { GIT_CONFIG_KEY_0: `url.${workplace.place}/library.git.insteadOf`, GIT_CONFIG_VALUE_0: url }
      const here = localMachine({ env: { ...process.env, HOME: workplace.place, GIT_CONFIG_COUNT: '1', ...setting } })
      const connect = async () => overSsh(name)
      const builder = nixMachine({ name, here, flake: workplace.repository, inputs: fetch, connect })
      t.teardown(() => Promise.all([builder.close(), here.close()]))
      return (await builder.evaluate(['dave'], noOptions, workplace.events, signal)).configurations.get('dave')
    }
    t.match(await evaluated(new Map()), {
      message: 'evaluation of dave failed',
      hints: [/^the builder may have no access to it: `inputs: { private: { fetch: here } }` in hosts\.yaml/],
    })
    workplace.warnings.length = 0
    const result = await evaluated(new Map([['private', { fetch: 'here' }]]))
    if (!result || result instanceof Problem) throw new Error(`${result?.message}\n${result?.detail}`)
    const reference = 'nix eval --raw .#nixosConfigurations.dave.config.system.build.toplevel.drvPath'
    t.equal(result.derivation, await workplace.onCopy(name, url, reference))
    t.strictSame(workplace.warnings, [])
  })
}

/** Evaluates one configuration of a source that nobody has built yet, and gives what builds it. */
async function evaluatedAnew(t: Test, configuration: string, options = noOptions) {
  const workplace = new Workplace(t)
  workplace.write('text', `${Math.random()}`)
  const builder = workplace.builder(t, 'forge')
  const { configurations } = await builder.evaluate([configuration], options, workplace.events, signal)
  const result = configurations.get(configuration)
  if (!result || result instanceof Problem) throw new Error(`${result?.message}\n${result?.detail}`)
  const build = async () => (await builder.build([result.derivation], workplace.events, signal)).get(result.derivation)
  return { workplace, build }
}

const onForge = (pattern: RegExp) => hostProcesses('forge').filter(({ argv }) => pattern.test(argv.join(' ')))

t.test(
  'a builder that goes away in the middle of a build is asked once more, and then given up',
  { skip },
  async (t) => {
    const goesAway = async () => {
      await seen('it builds', () => onForge(/^sleep 4$/).length > 0)
      for (const { pid } of onForge(/^nix-daemon --stdio/)) process.kill(pid, 'SIGKILL')
      await seen('the build has ended', () => onForge(/^sleep 4$/).length === 0)
    }
    const { workplace, build } = await evaluatedAnew(t, 'sleepy')
    const building = build()
    await goesAway()
    t.match(await building, /^\/nix\/store\/\w{32}-sleepy$/)
    t.strictSame(workplace.warnings, ['forge went away in the middle of the build: going on there once more'])

    const twice = await evaluatedAnew(t, 'sleepy')
    const failing = t.rejects(twice.build(), { message: 'forge went away in the middle of the build, twice' })
    await goesAway()
    await goesAway()
    await failing
  },
)

t.test('a derivation for 64-bit ARM is built on a builder that is none', { skip }, async (t) => {
  const workplace = new Workplace(t)
  mkdirSync(join(workplace.repository, 'arm'))
  copyFileSync(await armBusybox(), join(workplace.repository, 'arm/busybox'))
  workplace.write('text', `${Math.random()}`)
  workplace.git('add', '-A')
  const builder = workplace.builder(t, 'forge')
  const { configurations } = await builder.evaluate(['arm'], noOptions, workplace.events, signal)
  const arm = configurations.get('arm')
  if (!arm || arm instanceof Problem) throw new Error('not evaluated')
  t.equal(arm.system, 'aarch64-linux')
  const built = await builder.build([arm.derivation], workplace.events, signal)
  t.match(await ssh('forge', `uname -m; cat ${built.get(arm.derivation)}/machine`), { stdout: 'x86_64\naarch64\n' })
})

t.test('a limit of time ends a build, and the message says which limit', { skip }, async (t) => {
  for (const limit of ['timeout', 'max-silent-time']) {
    const { build } = await evaluatedAnew(t, 'sleepy', { ...noOptions, options: [[limit, '1']] })
    t.match(await build(), {
      message: 'build of sleepy failed',
      detail: /timed out after 1 seconds/,
      hints: [
        /^see the whole log: nix log .*-sleepy\.drv \(on forge\)$/,
        /^the limit is `timeout` or `max-silent-time`/,
      ],
    })
    t.strictSame(onForge(/^sleep 4$/), [])
  }
})

t.test('a content-addressed toplevel is where its build says', { skip }, async (t) => {
  const configure = (script: string) => inside('forge', `cd /etc/nix; ${script}; systemctl restart nix-daemon.service`)
  await configure("cp nix.conf before; echo 'extra-experimental-features = ca-derivations' >> nix.conf")
  t.teardown(() => configure('mv before nix.conf'))
  const [one, other] = [await evaluatedAnew(t, 'addressed'), await evaluatedAnew(t, 'addressed')]
  const built = await one.build()
  t.match(built, /^\/nix\/store\/\w{32}-addressed$/)
  t.equal(await other.build(), built, 'another derivation with the same contents')
})

t.test('import from derivation: it is said what is built for the evaluation, and where', { skip }, async (t) => {
  const { workplace } = await evaluatedAnew(t, 'importing')
  t.ok(workplace.progress.includes('building generated on forge, to evaluate'), workplace.progress.join('\n'))
  const builder = workplace.builder(t, 'forge')
  const { configurations } = await builder.evaluate(['importingBroken'], noOptions, workplace.events, signal)
  const problem = configurations.get('importingBroken')
  t.match(problem, {
    detail: /no cheese/,
    hints: [/^built for the evaluation; see the whole log: nix log \S+-ungenerated\.drv \(on forge\)$/],
  })
})

for (const [evaluator, store] of [
  ['forge', 'frank'],
  ['forge', 'grace'],
  ['grace', 'frank'],
  ['frank', 'grace'],
] as const) {
  t.test(
    `${evaluator} evaluates and ${store} builds, which trusts nobody; what was collected comes anew`,
    { skip },
    async (t) => {
      const workplace = new Workplace(t)
      workplace.write('text', `${Math.random()}`)
      const [from, to] = [workplace.machine(t, evaluator), workplace.machine(t, store)]
      const builder = builderOf('both', { evaluator: from, store: to, clock: systemClock })
      const { configurations } = await builder.evaluate(['dave'], noOptions, workplace.events, signal)
      const dave = configurations.get('dave')
      if (!dave || dave instanceof Problem) throw new Error('not evaluated')
      t.equal((await ssh(evaluator, `nix-store --delete ${dave.derivation}`)).code, 0)
      const out = (await builder.build([dave.derivation], workplace.events, signal)).get(dave.derivation)
      t.match(await ssh(store, `cat ${out}/name`), { stdout: 'dave\n' })
      t.equal((await ssh(evaluator, `test -e ${out}`)).code, 1, 'it was built there alone')
      const sent = workplace.progress.filter((text) => /^derivations and sources sent/.test(text))
      t.match(sent, [`derivations and sources sent to ${store}: 2 of 2 paths`])
      const missing = await builder.missing([dave.derivation], workplace.events, signal)
      t.match(missing.get(dave.derivation), { willBuild: { length: 0 } })
    },
  )
}

t.test('a lock file that lacks an input is not completed in silence', { skip }, async (t) => {
  const workplace = new Workplace(t)
  await ssh('forge', 'rm -rf other; mkdir other; echo data > other/data')
  workplace.write('flake.nix', flake.replace('path:/nowhere', 'path:/home/builder/other'))
  const here = localMachine()
  const machine = nixMachine({
    name: 'forge',
    here,
    flake: workplace.repository,
    inputs: new Map(),
    connect: async () => overSsh('forge'),
  })
  t.teardown(() => Promise.all([machine.close(), here.close()]))
  const locks = async () =>
    (await ssh('forge', "find .cache/deploy/sources -name flake.lock -printf '%p %T@\\n' | sort")).stdout
  const locksBefore = await locks()
  await machine.evaluate(['erin'], noOptions, workplace.events, signal)
  t.match(
    workplace.warnings[0],
    /^flake\.lock does not fit flake\.nix: run nix flake lock and commit it.*\n.*'secrets'/s,
  )
  t.notOk(existsSync(join(workplace.repository, 'flake.lock')))
  t.equal(await locks(), locksBefore, 'nor is it written on the builder')
})
