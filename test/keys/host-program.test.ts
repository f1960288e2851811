import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { keysProgram } from '../../lib/keys/program.ts'
import { Bench, withSshd } from '../edge/sshd.ts'

const directory = new URL('../../lib/keys/host/', import.meta.url)
const parts = new Map(readdirSync(directory).map((name) => [name, readFileSync(new URL(name, directory), 'utf8')]))
const program = keysProgram(parts)
/** Whoever runs the tests is the account. */
const functions = `${program.replace(/^verb=[\s\S]*$/m, '')}
as_account() { env HOME="$home" "$@" < /dev/null; }
kind=key
`
const shells = ['/bin/dash', '/bin/bash', '/bin/busybox'].filter(
  (one) => spawnSync(one, ['--help']).error === undefined,
)
const run = (shell: string, script: string) =>
  execFileSync(shell, [...(shell.endsWith('busybox') ? ['sh'] : []), '-c', script], { encoding: 'utf8' })

t.test('every shell that a host may have as /bin/sh can read the program', async (t) => {
  for (const shell of shells) {
    const words = [...(shell.endsWith('busybox') ? ['sh'] : []), '-n']
    const { stderr, status } = spawnSync(shell, words, { input: program, encoding: 'utf8' })
    t.same([stderr, status], ['', 0], shell)
  }
})

t.test('what is told has no token in it, whatever it is made of', async (t) => {
  const word = fc.stringMatching(/^[A-Za-z0-9_+/=.:-]{1,30}$/)
  const text = fc.array(fc.constantFrom('TOKEN', ' ', '*', '%', '('), { maxLength: 8 })
  fc.assert(
    fc.property(word, text, fc.constantFrom(...shells), (token, parts, shell) => {
      const wrap = (which: string) => parts.map((part) => (part === 'TOKEN' ? which : part)).join('')
      const told = run(shell, `${functions}\ngiven_token='${token}'\nread_secret\nplain '${wrap(token)}'`)
      return told.replace(/\n$/, '') === wrap('(token)')
    }),
    // What stands between two tokens makes no third one.
    {
      numRuns: 40,
      examples: [
        ['token', ['TOKEN', 'TOKEN'], '/bin/sh'],
        ['x', ['TOKEN'], '/bin/sh'],
      ],
    },
  )
  t.pass()
})

const home = mkdtempSync(join(tmpdir(), 'deploy-keys-'))
t.teardown(() => rmSync(home, { recursive: true }))
execFileSync('mkdir', ['-p', `${home}/.ssh`])

t.test('what else is in the configuration of ssh stays as it is, and the block goes without a trace', async (t) => {
  const line = fc.stringMatching(/^[ -~]{0,40}$/).filter((text) => !text.startsWith('# deploy keys:'))
  const file = `${home}/.ssh/config`
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), fc.constantFrom(...shells), (lines, shell) => {
      const before = lines.map((one) => `${one}\n`).join('')
      writeFileSync(file, before)
      const write = (block: string) => run(shell, `home=${home}\n${functions}\nwrite_configuration '${block}'`)
      write('Host a')
      write('Host b\n  Port 22')
      const with_ = readFileSync(file, 'utf8')
      write('')
      const block = '# deploy keys: begin\nHost b\n  Port 22\nMatch all\n# deploy keys: end\n'
      return with_ === `${block}${before}` && readFileSync(file, 'utf8') === before
    }),
    { numRuns: 15 },
  )
  t.pass()
})

t.test('what stood in front of every Host holds for every host afterwards', async (t) => {
  const file = `${home}/.ssh/config`
  writeFileSync(file, 'ConnectTimeout 7\nHost a\n  Port 2200\n')
  run('/bin/sh', `home=${home}\n${functions}\nwrite_configuration 'Host eu.nixbuild.net\n  Port 23'`)
  const read = (name: string) => execFileSync('ssh', ['-G', '-F', file, name], { encoding: 'utf8' })
  for (const [name, port] of [
    ['a', 2200],
    ['b', 22],
    ['eu.nixbuild.net', 23],
  ] as const) {
    t.match(read(name), new RegExp(`^port ${port}$`, 'm'), name)
    t.match(read(name), /^connecttimeout 7$/m, name)
  }
})

t.test('a block without its last word is told of where text follows, and written anew', async (t) => {
  const file = `${home}/.ssh/config`
  const [begins, ends] = ['# deploy keys: begin', '# deploy keys: end']
  for (const shell of shells) {
    const isOpen = (text: string | undefined) => {
      if (text === undefined) rmSync(file, { force: true })
      else writeFileSync(file, text)
      return run(shell, `home=${home}\n${functions}\nif block_is_open; then echo open; fi`) === 'open\n'
    }
    t.equal(isOpen(undefined), false, 'there is no file')
    t.equal(isOpen(`${begins}\nHost b\n${ends}\n`), false, 'nothing follows')
    t.equal(isOpen(`${begins}\nHost b\n${ends}\n\n# nothing\n`), false)
    t.equal(isOpen(`${begins}\nHost b\nMatch all\n${ends}\nConnectTimeout 7\n`), false)
    t.equal(isOpen('ConnectTimeout 7\n'), false)
    t.equal(isOpen(`${begins}\nHost b\n${ends}\nConnectTimeout 7\n`), true)
    const script = `home=${home} account=me key=$home/.ssh/nixbuild
${functions}
describe_configuration() { printf '%s\n' "identity $key" 'identities-only yes' 'alive 60' 'ipqos throughput' 'port 22'; }
install_configuration 22`
    t.match(run(shell, script), /^did me: .*has a block/)
    t.match(readFileSync(file, 'utf8'), `Match all\n${ends}\nConnectTimeout 7\n`)
    t.equal(run(shell, script), '', 'once')
  }
})

t.test('a block that has lost its end is left alone, with all that follows it', async (t) => {
  const file = `${home}/.ssh/config`
  for (const shell of shells) {
    for (const text of [
      '# deploy keys: begin\nHost b\nHost mine\n  Port 1\n',
      '# deploy keys: begin\nHost mine\n# deploy keys: begin\nHost b\n# deploy keys: end\nHost c\n',
    ]) {
      writeFileSync(file, text)
      const script = `home=${home} account=me key=$home/.ssh/nixbuild\n${functions}\nis_configured() { false; }\ninstall_configuration 22`
      t.match(run(shell, script), /^could-not me: .*config could not be changed/)
      t.equal(readFileSync(file, 'utf8'), text)
    }
  }
  rmSync(file)
  t.same(
    readdirSync(`${home}/.ssh`).filter((name) => name.startsWith('config')),
    [],
  )
})

t.test('a key is accepted when ssh says so, and by no exit code', async (t) => {
  const answer = (shell: string, code: number, said = '') =>
    run(
      shell,
      `home=${home}\n${functions}\nas_account() { echo '${said}' >&2; return ${code}; }\naccepts /key 22 /dev/null`,
    ).trim()
  const letIn = 'Authenticated to eu.nixbuild.net ([10.0.0.1]:22) using "publickey".'
  for (const shell of shells) {
    for (const code of [0, 1, 2, 100, 124, 126, 127, 137, 254]) {
      t.match(answer(shell, code), /^unreachable /, `${shell}: ${code}`)
      t.equal(answer(shell, code, letIn), 'yes', `${shell}: ${code}`)
    }
    t.match(answer(shell, 1, 'setpriv: setresuid failed'), /^unreachable setpriv: /)
    t.equal(answer(shell, 255, 'Permission denied (publickey).'), 'refused')
    // Whoever hangs up before he has proven who he is gives a reason in his own words.
    for (const forged of ['Permission denied', letIn, `\n${letIn}`, '\nme@host: Permission denied (publickey).']) {
      const said = `Received disconnect from 10.0.0.1 port 22:11: ${forged}\nDisconnected from 10.0.0.1 port 22`
      t.match(answer(shell, 255, said), /^unreachable /, `${shell}: ${forged}`)
    }
    t.match(answer(shell, 255, 'Host key verification failed.'), /^host-key /)
    t.match(answer(shell, 255, 'No route to host'), /^unreachable No route/)
  }
})

t.test('a real ssh says whether it was let in', withSshd, async (t) => {
  const bench = new Bench(t)
  const [own, stranger] = [bench.key('id'), bench.key('stranger')]
  const sshd = await bench.sshd()
  const right = bench.know('known', `[localhost]:${sshd.port}`, sshd.hostKey('ed25519'))
  const wrong = bench.know('wrong', `[localhost]:${sshd.port}`, bench.publicKey('stranger'))
  const answer = (key: string, known: string, port = sshd.port) =>
    run('/bin/sh', `home=${home}\n${functions}\nservice=localhost\naccepts ${key} ${port} ${known}`).trim()
  t.equal(answer(own, right), 'yes')
  t.equal(answer(stranger, right), 'refused')
  t.match(answer(own, wrong), /^host-key /)
  t.match(answer(own, right, 1), /^unreachable .*Connection refused/)
})

t.test("what works by another key does not count as this key's", withSshd, async (t) => {
  const bench = new Bench(t)
  const [own, other, stranger] = [bench.key('id'), bench.key('other'), bench.key('stranger')]
  const sshd = await bench.sshd({ authorized: ['id', 'other'] })
  bench.know('known', `[localhost]:${sshd.port}`, sshd.hostKey('ed25519'))
  const agent = await bench.agent(['other'])
  /** `verdict`: the exit code of what was tried, and what is said of it; `keys`: as the configuration names them. */
  const verdict = (file: string, keys: readonly string[], lines = '') => {
    const identities = keys.map((key) => `IdentityFile ${key}\n`).join('')
    const config = bench.config(`Port ${sshd.port}\nUserKnownHostsFile @known\n${identities}${lines}`)
    const script = `export SSH_AUTH_SOCK=${agent}\nhome=${home}\n${functions.replace('unset NIX_REMOTE SSH_AUTH_SOCK', 'unset')}
code=0 said=fine\nby_its_own ${file} -F ${config} localhost\necho "$code $said"`
    return run('/bin/sh', script).trim()
  }
  t.equal(verdict(own, [own]), '0 fine')
  t.equal(verdict(own, [stranger, own]), '0 fine', 'one that is refused comes to nothing')
  t.match(verdict(own, [other, own]), `1 it works, but not by ${own} alone: without an agent, ssh is let in by SHA256:`)
  t.match(verdict(own, [other, own]), /by SHA256:\S+ \S+other$/)
  t.match(verdict(stranger, [stranger, own]), /^1 .* by SHA256:\S+ \S+id$/)
  t.match(verdict(stranger, [stranger], 'IdentitiesOnly yes\n'), /^1 .* by no key$/)
  t.match(verdict(other, ['none']), /^1 .* by no key$/, 'an agent has it')
})

t.test('the words of the build hook', async (t) => {
  const words = (line: string) =>
    run('/bin/sh', `home=${home} key=/root/.ssh/nixbuild\n${functions}\nhook_words '${line}'`).trim().split('\n')
  const own = '/root/.ssh/nixbuild'
  t.same(words('ssh://eu.nixbuild.net x86_64-linux - 100 1'), [own, 'eu.nixbuild.net'])
  t.same(words('eu.nixbuild.net'), [own, 'eu.nixbuild.net'])
  t.same(words('ssh-ng://me@eu.nixbuild.net:2223/ x86_64-linux /home/me/k 1'), [
    '/home/me/k',
    '-i',
    '/home/me/k',
    '-p',
    '2223',
    'me@eu.nixbuild.net',
  ])
  t.same(words('ssh://nixbuild?ssh-key=/k&compress=true aarch64-linux'), ['/k', '-i', '/k', 'nixbuild'])
  const file = join(t.testdir(), 'pinned')
  const line = (pin: string) => `ssh://me@eu.nixbuild.net x86_64-linux - 1 1 - - ${pin}`
  const pinned = (pin: string) =>
    run(
      '/bin/sh',
      `home=${home} key=${own}\n${functions}\npin_of_line '${line(pin)}' ${file}; cat ${file}
      hook_words '${line(pin)}' ${file}`,
    )
  const key = 'ssh-ed25519 AAAA service'
  t.equal(
    pinned(Buffer.from(`${key}\n`).toString('base64')),
    `eu.nixbuild.net ${key}\n${own}\n-oUserKnownHostsFile=${file}\nme@eu.nixbuild.net\n`,
    'the host key that the line itself brings',
  )
  t.notMatch(pinned('-'), 'eu.nixbuild.net ')
})

t.test('of several lines for the service, one that builds for the host is tried', async (t) => {
  const line = (...lines: readonly string[]) =>
    run('/bin/sh', `home=${home}\n${functions}\nsettings='builders = ${lines.join(' ; ')}'\nbuilder_line x86_64-linux`)
  t.match(line('ssh://eu.nixbuild.net aarch64-linux /a', 'ssh://eu.nixbuild.net i686-linux,x86_64-linux /b'), / \/b\n$/)
  t.match(line('ssh://eu.nixbuild.net aarch64-linux /a', 'ssh://forge x86_64-linux /b'), / \/a\n$/)
  t.match(line('eu.nixbuild.net'), /^eu\.nixbuild\.net\n$/)
  t.equal(line('ssh://forge x86_64-linux').trim(), '')
})

t.test('the form of a key is told from its file alone', async (t) => {
  const key = `${home}/.ssh/nixbuild`
  const form = (shell: string, change: string) => {
    rmSync(key, { force: true })
    rmSync(`${key}.pub`, { force: true })
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'dave:root:2026-11-26', '-f', key])
    execFileSync('/bin/sh', ['-c', change, 'sh', key])
    return run(shell, `home=${home}\n${functions}\nform_of '${key}'`).trim()
  }
  for (const shell of shells) {
    t.equal(form(shell, ':'), 'ok')
    t.equal(form(shell, 'chmod 644 "$1"'), 'ok', 'its mode is another matter')
    t.equal(form(shell, 'sed -i "s/$/\\r/" "$1"'), 'line-ends')
    t.equal(form(shell, 'truncate -s -1 "$1"'), 'no-final-newline')
    t.equal(form(shell, 'ssh-keygen -q -p -P "" -N secret -f "$1"'), 'passphrase')
    t.equal(form(shell, 'mv "$1.pub" "$1"'), 'no-key')
    t.equal(form(shell, 'rm "$1"; ssh-keygen -q -t rsa -N "" -f "$1"'), 'other-type')
    t.equal(form(shell, ': > "$1"'), 'no-key')
  }
})

t.test('builders of the daemon are found wherever they are written', async (t) => {
  writeFileSync(
    `${home}/machines`,
    '# none\nssh://forge x86_64-linux\nssh-ng://me@eu.nixbuild.net:2223 x86_64-linux - 1\n',
  )
  const found = (settings: string) =>
    run('/bin/sh', `home=${home}\n${functions}\nsettings='${settings}'\nservice_builders`).trim()
  t.equal(found(`builders = @${home}/machines`), 'ssh-ng://me@eu.nixbuild.net:2223 x86_64-linux - 1')
  t.equal(
    found('builders = ssh://forge x86_64-linux ; eu.nixbuild.net aarch64-linux /root/k'),
    'eu.nixbuild.net aarch64-linux /root/k',
  )
  t.equal(found('builders = '), '')
  t.equal(found('builders = ssh://eu.nixbuild.net.example.org x86_64-linux'), '')
})
