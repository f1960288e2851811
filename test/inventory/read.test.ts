import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { type Test, test } from 'tap'
import { parseDuration, showDuration } from '../../lib/inventory/duration.ts'
import type { Host } from '../../lib/inventory/inventory.ts'
import { keyHosts } from '../../lib/inventory/key-hosts.ts'
import { InventoryProblem } from '../../lib/inventory/mistake.ts'
import { readInventory } from '../../lib/inventory/read.ts'
import { closest, editDistance } from '../../lib/inventory/suggestion.ts'
import { Problem } from '../../lib/problem.ts'

const root = fileURLToPath(new URL('../../', import.meta.url)).replace(/dist\/$/, '')
const read = (text: string) => readInventory(text, '/home/me/machines/hosts.yaml')

/** The lines that a person sees, without the name of the file. */
function mistakes(text: string): string[] {
  try {
    read(text)
  } catch (error) {
    if (!(error instanceof InventoryProblem)) throw error
    return error.detail.split('\n').map((line) => line.replace(/^hosts\.yaml:/, ''))
  }
  return []
}

/** One host, `dave`, with these fields beside the ones it needs. */
const withDave = (fields: string) => `hosts:\n  dave:\n    ssh: me@dave.local\n    system: aarch64-linux\n${fields}\n`
const dave = (fields: string): Host => {
  const host = read(withDave(fields)).hosts.get('dave')
  if (!host) throw new Error('no dave')
  return host
}

test('the shipped hosts.yaml has no mistake and means what its comments say', async (t) => {
  const inventory = readInventory(readFileSync(`${root}hosts.yaml`, 'utf8'), `${root}hosts.yaml`)
  t.equal(inventory.flake, `${root}test/lab/flake`)
  t.same([...inventory.hosts.keys()], ['dave', 'erin', 'frank', 'grace'])
  t.same(inventory.hosts.get('grace')?.checks, [
    { kind: 'unit', unit: 'web.service', severity: 'required', timeoutMs: 5000, intervalMs: 1000 },
    { kind: 'tcp', port: 8080, host: undefined, severity: 'required', timeoutMs: 5000, intervalMs: 1000 },
  ])
})

test('every field left out has the default that the documentation names', async (t) => {
  const inventory = read(withDave(''))
  t.same(inventory, {
    file: '/home/me/machines/hosts.yaml',
    directory: '/home/me/machines',
    flake: '/home/me/machines',
    inputs: new Map(),
    builders: new Map([['local', { kind: 'local', name: 'local' }]]),
    hosts: new Map([
      [
        'dave',
        {
          name: 'dave',
          destination: 'me@dave.local',
          verifyAt: 'me@dave.local',
          configuration: 'dave',
          system: 'aarch64-linux',
          tags: [],
          builders: ['local'],
          elevation: 'passwordless',
          specialisation: undefined,
          copy: { via: 'relay', substitute: true, compress: 'auto', delta: 'off' },
          activation: { timeoutMs: 300_000, confirmWithinMs: 60_000, settleMs: 10_000, rebootWithinMs: 300_000 },
          reboot: 'never',
          checks: [],
          nixbuildKeys: [],
          nixbuildToken: undefined,
        },
      ],
    ]),
  })
})

test('a host replaces scalars and lists of the defaults, and merges copy and activation into them', async (t) => {
  const inventory = read(`
builders: { forge: { ssh: forge }, other: { ssh: other } }
defaults:
  builder: forge
  system: aarch64-linux
  tags: [pi, home]
  specialisation: tiny
  copy: { substitute: false }
  activation: { timeout: 2m, settle: 0s, rebootWithin: 7m }
  checks: [{ tcp: 22 }]
hosts:
  plain: { ssh: plain.lan }
  own:
    ssh: own.lan
    builder: other
    tags: []
    specialisation: null
    copy: { compress: never }
    activation: { settle: 1m30s, confirmWithin: 3m }
    checks: [{ unit: nginx }]
`)
  const plain = inventory.hosts.get('plain')
  const own = inventory.hosts.get('own')
  t.match(plain, {
    builders: ['forge'],
    tags: ['pi', 'home'],
    specialisation: 'tiny',
    checks: [{ kind: 'tcp', port: 22 }],
  })
  t.match(own, { builders: ['other'], specialisation: undefined, checks: [{ kind: 'unit' }] })
  t.same(own?.tags, [])
  t.same(own?.copy, { via: 'relay', substitute: false, compress: 'never', delta: 'off' })
  t.same(own?.activation, { timeoutMs: 120_000, confirmWithinMs: 180_000, settleMs: 90_000, rebootWithinMs: 420_000 })
  t.same(plain?.activation, { timeoutMs: 120_000, confirmWithinMs: 60_000, settleMs: 0, rebootWithinMs: 420_000 })
})

test('a check is written short or long and means the same', async (t) => {
  const { checks } = dave(`
    verifyAt: ssh://me@[fe80::1]:2222
    checks:
      - unit: nginx
      - unit: getty@tty1.service
      - http: https://dave/
      - http: { url: "http://dave/x", expect: 204, headers: { Host: dave.example } }
      - tcp: 22
      - tcp: { port: 80, host: other }
      - command: [test, -e, /run/ready]
      - { local: [./smoke.sh, dave], timeout: 1500ms, interval: 2s, severity: warn }
  `)
  const usual = { severity: 'required', timeoutMs: 5000, intervalMs: 1000 } as const
  t.same(checks, [
    { kind: 'unit', unit: 'nginx.service', ...usual },
    { kind: 'unit', unit: 'getty@tty1.service', ...usual },
    { kind: 'http', url: 'https://dave/', expect: '2xx', headers: {}, ...usual },
    { kind: 'http', url: 'http://dave/x', expect: '204', headers: { Host: 'dave.example' }, ...usual },
    { kind: 'tcp', port: 22, host: undefined, ...usual },
    { kind: 'tcp', port: 80, host: 'other', ...usual },
    { kind: 'command', argv: ['test', '-e', '/run/ready'], ...usual },
    { kind: 'local', argv: ['./smoke.sh', 'dave'], severity: 'warn', timeoutMs: 1500, intervalMs: 2000 },
  ])
})

test('directories are found from where the file is, and references are left alone', async (t) => {
  const withTop = (top: string) => read(`${top}\n${withDave('')}`)
  t.equal(withTop('flake: ../systems').flake, '/home/me/systems')
  t.equal(withTop('flake: /etc/nixos').flake, '/etc/nixos')
  t.equal(withTop('flake: github:me/machines').flake, 'github:me/machines')
  t.equal(withTop('flake: ../systems?submodules=1').flake, '/home/me/systems?submodules=1')
  t.same(
    withTop('inputs: { a: ../a, b: { fetch: here } }').inputs,
    new Map<string, unknown>([
      ['a', '/home/me/a'],
      ['b', { fetch: 'here' }],
    ]),
  )
  t.same([...withTop('inputs: { dotfiles: ../dotfiles }').inputs], [['dotfiles', '/home/me/dotfiles']])
})

test('builders come in three forms, and the only one is used by hosts that name none', async (t) => {
  const inventory = read(`
builders:
  nixbuild: { store: ssh-ng://eu.nixbuild.net, evaluateOn: local }
hosts:
  dave: { ssh: dave, system: aarch64-linux }
`)
  t.same(inventory.hosts.get('dave')?.builders, ['nixbuild'])
  t.match(inventory.builders.get('nixbuild'), {
    kind: 'store',
    destination: 'ssh://eu.nixbuild.net',
    evaluateOn: 'local',
    service: 'nixbuild.net',
    identityFile: undefined,
    hostKey: undefined,
    token: undefined,
    keyCommands: { add: 'ssh-keys add {key} {comment}', remove: 'ssh-keys remove {key}' },
  })
  t.same(inventory.builders.get('local'), { kind: 'local', name: 'local' })
})

test('of several builders, those that build for the system of a host are left, in the order of the file', async (t) => {
  const { hosts, builders } = read(`
builders:
  forge: { ssh: forge, systems: [x86_64-linux, aarch64-linux] }
  nixbuild: { store: ssh-ng://eu.nixbuild.net, evaluateOn: forge, systems: [aarch64-linux] }
  other: { ssh: other, systems: [x86_64-linux] }
defaults: { builder: [other, forge, nixbuild, forge] }
hosts:
  dave: { ssh: dave, system: aarch64-linux }
  erin: { ssh: erin, system: x86_64-linux }
  frank: { ssh: frank, system: riscv64-linux, builder: local }
`)
  t.same(
    [...hosts.values()].map(({ builders }) => builders),
    [['forge', 'nixbuild'], ['other', 'forge'], ['local']],
  )
  t.ok(builders.has('local'))
})

test('how a store is logged in to, and what nixbuild.net is told', (t) => {
  const hostKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPIQCZc54poJ8vqawd8TraNryQeJnvH1eLpIDgbiqymM'
  const { builders } = read(`
builders:
  forge: { ssh: forge }
  keyed: { store: ssh-ng://me@store.lan:2222, evaluateOn: forge, identityFile: keys/store, hostKey: ${hostKey} }
  nixbuild:
    store: ssh-ng://eu.nixbuild.net:2223
    evaluateOn: forge
    token: { file: /run/secrets/nixbuild }
    settings: { max-cpu: 4, always-substitute: true }
    tags: { host: dave }
  other: { store: ssh-ng://eu.nixbuild.net, evaluateOn: forge, token: { env: NIXBUILDNET_TOKEN } }
${withDave('    builder: keyed')}`)
  t.match(builders.get('keyed'), {
    destination: 'ssh://me@store.lan:2222',
    service: undefined,
    identityFile: '/home/me/machines/keys/store',
    hostKey,
  })
  t.match(builders.get('nixbuild'), {
    destination: 'ssh://eu.nixbuild.net:2223',
    service: 'nixbuild.net',
    token: { file: '/run/secrets/nixbuild' },
    settings: new Map([
      ['max-cpu', '4'],
      ['always-substitute', 'true'],
    ]),
    tags: new Map([['host', 'dave']]),
  })
  t.match(builders.get('other'), { token: { env: 'NIXBUILDNET_TOKEN' } })
  t.same(dave('    nixbuildToken: { file: secrets/token }').nixbuildToken, { file: '/home/me/machines/secrets/token' })
  t.same(dave('    nixbuildToken: { env: T }').nixbuildToken, { env: 'T' })
  t.same(dave('    auth: token').nixbuildToken, { env: 'NIXBUILDNET_TOKEN' })
  t.same(dave('    auth: token\n    nixbuildToken: { env: T }').nixbuildToken, { env: 'T' })
  t.end()
})

test('a builder with a shell may have logins of its own, and can be named where keys are looked after', async (t) => {
  const inventory = read(`${withDave('    builder: forge')}builders:
  forge: { ssh: me@forge, sudo: doas, nixbuildKeys: [root] }
  other: { ssh: other, auth: token }
  plain: { ssh: plain }
  store: { store: ssh-ng://eu.nixbuild.net, evaluateOn: forge, auth: token }
`)
  const hosts = keyHosts(inventory)
  t.same([...hosts.keys()], ['dave', 'forge', 'other'])
  t.match(hosts.get('forge'), { name: 'forge', destination: 'me@forge', elevation: 'doas', nixbuildKeys: ['root'] })
  t.match(hosts.get('other')?.nixbuildToken, { env: 'NIXBUILDNET_TOKEN' })
  t.equal(inventory.hosts.size, 1, 'and is deployed to by nobody')
  t.match(inventory.builders.get('store'), { token: { env: 'NIXBUILDNET_TOKEN' } })
})

test('hosts keep the order of the file, whatever they are called', async (t) => {
  const fields = '{ ssh: x, system: x86_64-linux }'
  const inventory = read(`hosts:\n  zoe: ${fields}\n  10: ${fields}\n  null: ${fields}\n  9: ${fields}\n`)
  t.same([...inventory.hosts.keys()], ['zoe', '10', 'null', '9'])
})

test('anchors, aliases and merge keys work, and a mistake behind one is told once, where it stands', async (t) => {
  const text = `
hosts:
  one: &pi
    ssh: one.lan
    system: aarch64-linux
    tgas: [pi]
  two: { <<: *pi, ssh: two.lan }
  three: { <<: [*pi], ssh: three.lan }
`
  t.same(mistakes(text), ['6:5: hosts.one.tgas: unknown field; did you mean tags?'])
  const inventory = read(text.replace('tgas', 'tags'))
  t.match(inventory.hosts.get('three'), { destination: 'three.lan', tags: ['pi'], system: 'aarch64-linux' })
})

/** By what is wrong: the file, and all that a person is told. */
const refused: Record<string, [text: string, ...lines: string[]]> = {
  'an empty file': ['', '1:1: the file is empty: it needs at least a host'],
  'a file of comments': ['# later\n', '1:1: the file is empty: it needs at least a host'],
  'a list': ['- dave\n', '1:1: must be a map of fields, not a list'],
  'a word': ['dave\n', '1:1: must be a map of fields, not "dave"'],
  'no hosts': ['flake: .\n', '1:1: hosts is missing'],
  'an empty map of hosts': ['hosts: {}\n', '1:8: hosts: names no host'],
  'YAML that ends too early': [
    'hosts: {\n',
    '2:1: not YAML: flow map in block collection must be sufficiently indented and end with a }',
  ],
  'a tab': ['hosts:\n\tdave: {}\n', '2:1: a tab cannot indent YAML: use spaces'],
  'two documents': ['hosts: {}\n---\nhosts: {}\n', '2:1: a second document starts here: one inventory is one document'],
  'a host given twice, and what is wrong besides': [
    'hosts:\n  dave: { ssh: a, system: x86_64-linux }\n  dave: { ssh: b, system: x86_64-linux }\nflaek: .\n',
    '3:3: dave is given twice',
    '4:1: flaek: unknown field; did you mean flake?',
  ],
  'an alias of nothing': ['hosts:\n  dave: *pi\n', '2:9: *pi refers to no anchor before it'],
  'a merge of something that is no map': [
    'hosts:\n  dave: { <<: 5 }\n',
    '2:11: << merges maps: give it an alias of one, or a list of such aliases',
  ],
  'a host without the fields it needs': [
    'hosts:\n  dave: {}\n',
    '2:3: hosts.dave: ssh is missing: say what you would type after ssh, like ssh: root@dave.local',
    '2:3: hosts.dave: system is missing: say what the host is, like system: aarch64-linux',
  ],
  'an empty host': ['hosts:\n  dave:\n', '2:3: hosts.dave: must be a map of fields, but is empty'],
  'a list of hosts': ['hosts: [dave]\n', '1:8: hosts: must be a map of fields, not a list'],
  'several misspelt fields of one map': [
    withDave('    chekcs: []\n    tgs: []\n    zzz: 1'),
    '5:5: hosts.dave.chekcs: unknown field; did you mean checks?',
    '6:5: hosts.dave.tgs: unknown field; did you mean tags?',
    '7:5: hosts.dave.zzz: unknown field',
  ],
  'a field one level too high': [
    withDave('    settle: 10s'),
    '5:5: hosts.dave.settle: unknown field; did you mean activation.settle?',
  ],
  'names that every JavaScript object has': [
    withDave('    constructor: 1\n  constructor: {}\n  __proto__: {}'),
    '5:5: hosts.dave.constructor: unknown field',
    '6:3: hosts.constructor: this name is taken by JavaScript: choose another',
    '7:3: hosts.__proto__: this name is taken by JavaScript: choose another',
  ],
  'hosts with names that mean something else': [
    'hosts:\n  rollback: {}\n  "@pi": {}\n  -x: {}\n  "a b": {}\n  "pi-*": {}\n',
    '2:3: hosts.rollback: no host may be called like the verb: deploy rollback',
    ...[
      ['3', '"@pi"'],
      ['4', '-x'],
      ['5', '"a b"'],
      ['6', '"pi-*"'],
    ].map(
      ([line, name]) =>
        `${line}:3: hosts.${name}: the name of a host may have letters, digits, -, _ and . and starts with a letter or digit`,
    ),
  ],
  'bad tags': [
    withDave('    tags: [ok, "@pi", 5]'),
    '5:16: hosts.dave.tags[1]: a name may have letters, digits, -, _ and . and starts with a letter or digit',
    '5:23: hosts.dave.tags[2]: must be a string, not the number 5',
  ],
  'a destination that ssh would read as an option': [
    'hosts:\n  a: { ssh: -oProxyCommand=x, system: x86_64-linux }\n  b: { ssh: me@-x, system: x86_64-linux }\n',
    '2:13: hosts.a.ssh: starts with a dash, which ssh would read as an option',
    '3:13: hosts.b.ssh: has a host that starts with a dash, which ssh would read as an option',
  ],
  'a destination with a port in the wrong way': [
    'hosts:\n  a: { ssh: "me@dave:22", system: x86_64-linux }\n  b: { ssh: "ssh://dave:0", system: x86_64-linux }\n',
    '2:13: hosts.a.ssh: has a colon: write ssh://me@dave:22 for a port',
    '3:13: hosts.b.ssh: has the port 0, which is not a number from 1 to 65535',
  ],
  'a destination with something for a shell': [
    withDave('    verifyAt: dave;reboot'),
    '5:15: hosts.dave.verifyAt: contains a character that no user or host name has',
  ],
  "a system by another project's name": [
    'hosts:\n  dave: { ssh: x, system: arm64-linux }\n',
    '2:27: hosts.dave.system: must be one of aarch64-linux, x86_64-linux, armv7l-linux, armv6l-linux, riscv64-linux, ' +
      'i686-linux, …, not "arm64-linux"; did you mean aarch64-linux?',
  ],
  'words that need other words': [
    withDave('    sudo: paswordless\n    copy: { via: rely, substitute: yes }'),
    '5:11: hosts.dave.sudo: must be one of passwordless, ask, none, doas, run0, not "paswordless"; did you mean passwordless?',
    '6:18: hosts.dave.copy.via: must be one of relay, direct, cache, not "rely"; did you mean relay?',
    '6:36: hosts.dave.copy.substitute: must be true or false, not "yes"',
  ],
  'durations without a unit, or that are none': [
    withDave(
      '    activation: { timeout: 60, confirmWithin: "90", settle: soon }\n    checks: [{ tcp: 22, timeout: 0s, interval: 99h }]',
    ),
    '5:28: hosts.dave.activation.timeout: needs a unit: say 60s',
    '5:47: hosts.dave.activation.confirmWithin: needs a unit: say 90s',
    '5:61: hosts.dave.activation.settle: is not a duration: say 500ms, 10s, 5m or 1h',
    '6:34: hosts.dave.checks[0].timeout: must be longer than zero',
    '6:48: hosts.dave.checks[0].interval: is longer than 24h',
  ],
  'generations that keep nothing, or by no age': [
    withDave('    generations: { keep: 0, olderThan: 30 }').replace('hosts:', 'defaults: { generations: {} }\nhosts:'),
    '1:26: defaults.generations: says neither keep nor olderThan',
    '6:26: hosts.dave.generations.keep: must be at least 1',
    '6:40: hosts.dave.generations.olderThan: needs a unit: say 30d',
  ],
  'a window that is too short for its checks': [
    withDave(
      '    activation: { confirmWithin: 30s, settle: 15s }\n    checks: [{ unit: a }, { tcp: 80, timeout: 7s }]',
    ),
    '5:5: hosts.dave.activation: confirmWithin 30s is too short: a login (10s) + the slowest check (7s, ' +
      'tcp 80) + settle (15s) + the check once more (7s) + the confirmation (3s) take up to 42s',
  ],
  'a window that is too short, by the defaults of all hosts': [
    'defaults: { system: x86_64-linux, activation: { confirmWithin: 1m, settle: 50s } }\nhosts: { a: { ssh: a }, b: { ssh: b } }\n',
    '1:35: defaults.activation: confirmWithin 1m is too short: a login (10s) + settle (50s) + the confirmation (3s) ' +
      'take up to 1m3s',
  ],
  'checks that say nothing, too much, or something else': [
    withDave('    checks: [{}, { unit: a, tcp: 22 }, { htpp: x }, 5, { timeout: 5s }]'),
    '5:14: hosts.dave.checks[0]: names no kind of check: unit, http, tcp, command, local',
    '5:18: hosts.dave.checks[1]: is unit and tcp at once: make it 2 checks',
    '5:42: hosts.dave.checks[2].htpp: unknown field; did you mean http?',
    '5:53: hosts.dave.checks[3]: must be a map of fields, not the number 5',
    '5:56: hosts.dave.checks[4]: names no kind of check: unit, http, tcp, command, local',
  ],
  'urls that are none, or that carry a password': [
    withDave(
      '    checks:\n    - http: ftp://x\n    - http: http://\n    - http: { url: "http://me:secret@x/" }\n    - http: 5',
    ),
    '6:13: hosts.dave.checks[0].http: must start with http:// or https://',
    '7:13: hosts.dave.checks[1].http: is not a url',
    '8:20: hosts.dave.checks[2].http.url: contains a password, and urls are printed: send an Authorization header',
    '9:13: hosts.dave.checks[3].http: must be a url, or a map with url',
  ],
  'http checks with fields that are wrong': [
    withDave(
      '    checks:\n    - http: { ulr: x }\n    - http: { url: "http://x", expect: ok, headers: { "a b": "1" } }',
    ),
    '6:15: hosts.dave.checks[0].http.ulr: unknown field; did you mean url?',
    '7:40: hosts.dave.checks[1].http.expect: must be a status like 204 or a class like 2xx',
    '7:55: hosts.dave.checks[1].http.headers."a b": is not the name of a header',
  ],
  'ports out of range': [
    withDave('    checks: [{ tcp: 0 }, { tcp: 65536 }, { tcp: 1.5 }, { tcp: "22" }, { tcp: { port: -1 } }]'),
    '5:21: hosts.dave.checks[0].tcp: must be a port from 1 to 65535',
    '5:33: hosts.dave.checks[1].tcp: must be a port from 1 to 65535',
    '5:49: hosts.dave.checks[2].tcp: must be a whole number',
    '5:63: hosts.dave.checks[3].tcp: must be a port (a number from 1 to 65535), or a map with port',
    '5:86: hosts.dave.checks[4].tcp.port: must be a port from 1 to 65535',
  ],
  'programs that are not lists of words': [
    withDave('    checks:\n    - command: test -e x\n    - command: []\n    - local: [sleep, 5]\n    - local: [""]'),
    '6:16: hosts.dave.checks[0].command: must be a list of a program and its arguments, since no shell reads it: [test, -e, /run/ready]',
    '7:16: hosts.dave.checks[1].command: is empty: name a program',
    '8:22: hosts.dave.checks[2].local[1]: must be quoted: "5"',
    '9:14: hosts.dave.checks[3].local: names no program',
  ],
  'units that are none': [
    withDave('    checks: [{ unit: "a b" }, { unit: getty@ }, { unit: "web*" }]'),
    '5:22: hosts.dave.checks[0].unit: is not the name of a unit',
    '5:39: hosts.dave.checks[1].unit: is a template: name an instance of it',
    '5:57: hosts.dave.checks[2].unit: is not the name of a unit',
  ],
  'builders that nobody can use': [
    `${withDave('    builder: froge')}builders:
  forge: { ssh: forge }
  a: { store: ssh-ng://a, evaluateOn: b }
  b: { store: ssh-ng://b, evaluateOn: a }
  c: { store: ssh-ng://c, evaluateOn: c }
  d: { store: ssh-ng://d, evaluateOn: froge }
  e: { store: "https://e", evaluateOn: local }
  f: { store: ssh-ng://f }
  g: { ssh: g, store: ssh-ng://g, evaluateOn: local }
  h: remote
  local: { ssh: x }
`,
    '5:14: hosts.dave.builder: there is no builder froge; did you mean forge?',
    '8:39: builders.a.evaluateOn: b is a store without a shell: name a builder with ssh, or local',
    '9:39: builders.b.evaluateOn: a is a store without a shell: name a builder with ssh, or local',
    '10:39: builders.c.evaluateOn: a store cannot evaluate for itself: it has no shell',
    '11:39: builders.d.evaluateOn: there is no builder froge; did you mean forge?',
    '12:15: builders.e.store: is not a store that builds: write ssh-ng://host',
    '13:6: builders.f: has no shell: say where to evaluate, with evaluateOn: local or the name of a builder',
    '14:6: builders.g: says both ssh and store: a builder is one of them',
    '15:6: builders.h: must be local, or a map with ssh, or with store and evaluateOn',
    "16:3: builders.local: the name local is for the control machine's own Nix",
  ],
  'logins to stores that are none': [
    `${withDave('    builder: a')}builders:
  a: { store: ssh-ng://a, evaluateOn: local, token: { env: T }, settings: { max-cpu: 1 }, tags: { a: b } }
  b: { store: "ssh-ng://b?compress=true", evaluateOn: local }
  c: { ssh: c, identityFile: key }
  d: { store: ssh-ng://eu.nixbuild.net, evaluateOn: local, token: { env: T }, identityFile: key }
  e: { store: ssh-ng://eu.nixbuild.net, evaluateOn: local, token: { env: T, file: f } }
  f: { store: ssh-ng://eu.nixbuild.net, evaluateOn: local, token: secret }
  g: { store: ssh-ng://eu.nixbuild.net, evaluateOn: local, settings: { MAX_CPU: 1, token: x }, tags: { "a b": 1 } }
  h: { store: ssh-ng://h, evaluateOn: local, identityFile: ~/key, hostKey: "SHA256:abc" }
  i: { store: ssh-ng://eu.nixbuild.net, evaluateOn: local, token: { env: "my token" } }
  j: { store: ssh-ng://eu.nixbuild.net, evaluateOn: local, buildHook: true, tags: { a: b } }
  k: { store: ssh-ng://k, evaluateOn: local, buildHook: true }
  l: { store: "ssh-ng://eu.nixbuild.net:2223", evaluateOn: local, buildHook: true }
`,
    '7:46: builders.a.token: is for nixbuild.net, and this store is elsewhere: only ssh-ng://eu.nixbuild.net reads it',
    '7:65: builders.a.settings: is for nixbuild.net, and this store is elsewhere: only ssh-ng://eu.nixbuild.net reads it',
    '7:91: builders.a.tags: is for nixbuild.net, and this store is elsewhere: only ssh-ng://eu.nixbuild.net reads it',
    "8:15: builders.b.store: has settings of Nix's after the host, which nothing reads: a key is identityFile here",
    '9:6: builders.c: is reached as your ssh configuration says: leave out identityFile',
    '10:6: builders.d: says both identityFile and token: one of them logs in',
    '11:67: builders.e.token: says where the token is: one of env and file',
    '12:67: builders.f.token: must say where the token is, { env: NAME } or { file: PATH }',
    '13:72: builders.g.settings.MAX_CPU: a setting is written as in the documentation of nixbuild.net: max-cpu',
    '13:84: builders.g.settings.token: the token has a field of its own: token',
    '13:104: builders.g.tags."a b": the name of a tag has letters, digits, - and _, and starts with a letter',
    '14:60: builders.h.identityFile: starts with ~, which only a shell expands: write the whole path',
    '14:76: builders.h.hostKey: is not a public key: write its type and base64, as in ssh_host_ed25519_key.pub without the comment',
    '15:74: builders.i.token.env: is not the name of an environment variable',
    '16:77: builders.j.tags: is sent by this machine when it logs in, and with buildHook another one does',

    '17:46: builders.k.buildHook: is for nixbuild.net, and this store is elsewhere: only ssh-ng://eu.nixbuild.net reads it',
    '18:15: builders.l.store: has a port: with buildHook, the configuration of ssh of root there says it (Host eu.nixbuild.net, Port …)',
  ],
  'a token and a key for the same login': [
    withDave('    nixbuildKeys: [me, root]\n    nixbuildToken: { env: T }'),
    '5:5: hosts.dave.nixbuildKeys: has root, who logs in with a token: leave root out here, or leave the token out',
  ],
  'logins of builders': [
    `${withDave('    builder: a\n    nixbuildKeys: [root]')}builders:
  a: { ssh: a, nixbuildKeys: [root], nixbuildToken: { env: T } }
  b: { store: ssh-ng://eu.nixbuild.net, evaluateOn: a, nixbuildKeys: [root] }
  c: { store: ssh-ng://eu.nixbuild.net, evaluateOn: a, auth: token, identityFile: key }
  d: { ssh: d, auth: key }
  dave: { ssh: dave, nixbuildKeys: [me] }
`,
    '8:16: builders.a.nixbuildKeys: has root, who logs in with a token: leave root out here, or leave the token out',
    '9:6: builders.b: has no accounts: leave out nixbuildKeys, which is for a builder with ssh',
    '10:6: builders.c: says both identityFile and auth: one of them logs in',
    '11:22: builders.d.auth: must be token; a key is what it logs in with otherwise',
    '12:3: builders.dave: has logins at nixbuild.net, and so has the host dave: say them at one of the two',
  ],
  'a token of a host that is written down': [
    withDave('    nixbuildToken: secret'),
    '5:20: hosts.dave.nixbuildToken: must say where the token is, { env: NAME } or { file: PATH }',
  ],
  'a builder left open among several': [
    `builders: { a: { ssh: a }, b: { ssh: b } }\n${withDave('')}`,
    '3:3: hosts.dave: builder is missing: say which of a, b',
  ],
  'builders of which none builds for the host': [
    `builders:
  a: { ssh: a, systems: [x86_64-linux] }
  b: { ssh: b, systems: [] }
  c: { ssh: c, systems: [arm64-linux] }
${withDave('    builder: [a, d]')}  erin: { ssh: erin, system: aarch64-linux, builder: a }
  frank: { ssh: frank, system: x86_64-linux, builder: [] }
  grace: { ssh: grace, system: x86_64-linux, builder: { a: b } }
`,
    '3:25: builders.b.systems: is empty: leave it out for a builder that builds for all of its hosts',
    '4:26: builders.c.systems[0]: must be one of aarch64-linux, x86_64-linux, armv7l-linux, armv6l-linux, riscv64-linux, i686-linux, …, not "arm64-linux"; did you mean aarch64-linux?',
    '9:18: hosts.dave.builder[1]: there is no builder d; the builders are a, b, c, local',
    '10:54: hosts.erin.builder: a does not build for aarch64-linux, which is what erin is',
    '11:55: hosts.frank.builder: is empty: name a builder',
    '12:55: hosts.grace.builder: must be the name of a builder, or a list of names',
  ],
  'a default that is wrong, once for all hosts': [
    'defaults: { builder: forge, system: x86_64-linux }\nhosts: { a: { ssh: a }, b: { ssh: b } }\n',
    '1:22: defaults.builder: there is no builder forge; the builders are local',
  ],
  'an input that is fetched somewhere else': [
    `inputs: { a: { fetch: forge }, b: { fetched: here }, c: 1 }\n${withDave('')}`,
    '1:23: inputs.a.fetch: must be here: the builder fetches all others',
    '1:37: inputs.b.fetched: unknown field; did you mean fetch?',
    '1:57: inputs.c: must be a directory, or { fetch: here }',
  ],
  'a branch of a directory': [
    `flake: ../systems?ref=main\n${withDave('')}`,
    '1:8: flake: has parameters: write the directory of the flake.nix itself; only ?submodules=1 may follow',
  ],
  'flakes and inputs that would be looked for elsewhere': [
    `flake: systems\ninputs: { a: github:me/a, b: ~/b }\n${withDave('')}`,
    "1:8: flake: is an entry of Nix's registry: write ./systems for a directory, or flake:systems",
    '2:14: inputs.a: must be a local directory; --override-input takes other references',
    '2:30: inputs.b: starts with ~, which only a shell expands: write the whole path',
  ],
}

for (const [what, [text, ...lines]] of Object.entries(refused)) {
  test(`${what}: every mistake is told with its place`, async (t) => {
    t.same(mistakes(text), lines)
  })
}

test('the problem is one of usage, counts the mistakes, and keeps each of them as data', async (t) => {
  try {
    readInventory('hosts: {}\nflaek: x\n', '/x/hosts.yaml', '../machines.yaml')
    t.fail('read')
  } catch (error) {
    t.ok(error instanceof InventoryProblem)
    const problem = error as InventoryProblem
    t.equal(problem.kind, 'usage')
    t.equal(problem.message, '../machines.yaml has 2 mistakes')
    t.equal(problem.detail.split('\n')[0], '../machines.yaml:1:8: hosts: names no host')
    const flaek = { line: 2, column: 1, path: 'flaek', message: 'unknown field', suggestion: 'flake' }
    t.same(problem.mistakes[1], flaek)
  }
})

test('aliases that multiply without bounds are refused before they fill the memory', async (t) => {
  const levels = Array.from({ length: 30 }, (_, n) => `x${n + 1}: &x${n + 1} [*x${n}, *x${n}, *x${n}]`)
  t.same(mistakes(['x0: &x0 [a]', ...levels].join('\n')), ['1:1: the aliases of this file multiply too much'])
})

const throwsOnlyProblems = (t: Test, text: string) => {
  try {
    read(text)
  } catch (error) {
    if (!(error instanceof InventoryProblem)) t.fail(`threw ${error}`, { text })
    else if (error.mistakes.some(({ line, column }) => !(line >= 1 && column >= 1))) t.fail('no place', { text })
  }
}

test('whatever the text is, it is read or refused', async (t) => {
  const pieces = fc.constantFrom(
    ...[
      'hosts',
      'dave',
      'ssh',
      'checks',
      'http',
      'tcp',
      'builders',
      'defaults',
      'local',
      'store',
      'evaluateOn',
      ': ',
      ':',
    ],
    ...[
      '\n',
      '\n  ',
      '\n    ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ', ',
      '&a ',
      '*a',
      '<<',
      '!x ',
      '"',
      "'",
      '#',
      '|',
      '>',
      '?',
      '%',
    ],
    ...[
      '\t',
      '5',
      '10s',
      'null',
      'true',
      '~',
      '---\n',
      '\0',
      '__proto__',
      'constructor',
      '-',
      '@',
      '\u2028',
      '😀',
      '\ud800',
    ],
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(pieces).map((all) => all.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => throwsOnlyProblems(t, text),
    ),
    { numRuns: 1500 },
  )
  t.pass('1500 texts')
})

test('whatever the values are, the file is read or refused', async (t) => {
  const key = fc.constantFrom(
    ...['ssh', 'system', 'builder', 'tags', 'checks', 'copy', 'activation', 'http', 'tcp', 'url', 'unit', 'command'],
    ...[
      'timeout',
      'settle',
      'confirmWithin',
      'store',
      'evaluateOn',
      'verifyAt',
      'sudo',
      'headers',
      'expect',
      'constructor',
    ],
  )
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.constant('10s'))
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }))
  const top = fc.dictionary(
    fc.constantFrom('hosts', 'builders', 'defaults', 'inputs', 'flake'),
    fc.oneof(value, fc.dictionary(fc.string(), value)),
  )
  fc.assert(
    fc.property(top, (data) => throwsOnlyProblems(t, JSON.stringify(data))),
    { numRuns: 500 },
  )
  t.pass('500 files')
})

test('durations are read as they are shown', async (t) => {
  t.equal(parseDuration('1h2m3s4ms'), 3_723_004)
  t.equal(parseDuration('30d12h'), 2_635_200_000)
  t.equal(showDuration(0), '0s')
  for (const text of ['', '5', 's', '5 s', '-5s', '1.5s', '5s1m', '5w', '1h5d', '1m1m'])
    t.equal(parseDuration(text), undefined, text)
  fc.assert(
    fc.property(fc.nat(86_400_000), (milliseconds) => parseDuration(showDuration(milliseconds)) === milliseconds),
  )
})

test('a suggestion is a near word or none', async (t) => {
  t.equal(editDistance('chekcs', 'checks'), 1)
  t.equal(editDistance('', 'abc'), 3)
  t.equal(closest('rolback', ['history', 'rollback']), 'rollback')
  t.equal(closest('bob', ['dave', 'erin']), undefined)
  t.equal(closest('x', ['y']), undefined)
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      return editDistance(a, b) === editDistance(b, a) && (editDistance(a, b) === 0) === (a === b)
    }),
  )
})

test('an inventory problem is a problem like any other to whoever shows it', async (t) => {
  t.throws(() => read('hosts: {}'), { name: 'Problem', kind: 'usage' })
  t.throws(() => read('hosts: {}'), Problem)
})
