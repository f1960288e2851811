import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync } from 'node:fs'
import { type Test, test } from 'tap'
import { sshNetwork, type SshNetworkOptions } from '../../lib/edge/ssh.ts'
import type { Elevation } from '../../lib/machine/command.ts'
import { Bench, executable, isRoot, withSshd } from './sshd.ts'

const possible = isRoot && executable('/usr/bin/sudo') && executable('/usr/bin/openssl')
const withSudo = possible ? withSshd : { skip: 'needs root, sudo and openssl' }

/** A login as a user with this rule of sudoers, whose password is `open sesame`. */
async function logIn(t: Test, rule: string, options: SshNetworkOptions & { elevation?: 'passwordless' }) {
  const bench = new Bench(t)
  bench.key('id')
  const hash = execFileSync('openssl', ['passwd', '-6', 'open sesame'], { encoding: 'utf8' }).trim()
  const shadow = bench.write('shadow', `${readFileSync('/etc/shadow', 'utf8')}deploy-test:${hash}:19000:0:99999:7:::\n`)
  const sudoers = bench.write('sudoers', `Defaults lecture=always\nroot ALL=(ALL) ALL\n${rule}\n`)
  chmodSync(sudoers, 0o440)
  const etc = { ...bench.user('deploy-test', '/bin/bash'), '/etc/shadow': shadow, '/etc/sudoers': sudoers }
  const sshd = await bench.sshd({ etc })
  bench.know('known', `[127.0.0.1]:${sshd.port}`, sshd.hostKey('ed25519'))
  const configFile = bench.config(
    `Host *\n  Port ${sshd.port}\n  IdentityFile @id\n  IdentityAgent none\n  UserKnownHostsFile @known\n`,
  )
  const elevation: Elevation = options.elevation ?? 'ask'
  const login = { name: 'dave', destination: 'deploy-test@127.0.0.1', elevation }
  const machine = await sshNetwork({ configFile, ...options }).connect(login)
  t.teardown(() => machine.close())
  return machine
}

const everything = 'deploy-test ALL=(ALL) ALL'
const readBack = { argv: ['sh', '-c', 'id -u; cat; echo said >&2'], asRoot: true }

test('sudo gets the password that was asked for once, and the command gets its input', withSudo, async (t) => {
  const asked: string[] = []
  const password = async (name: string) => {
    asked.push(name)
    return 'open sesame'
  }
  const machine = await logIn(t, everything, { password })
  const both = await Promise.all([1, 2].map((n) => machine.run(readBack, { input: `input ${n}\n` })))
  both.push(await machine.run(readBack, { input: 'input 3\n' }))
  for (const [index, done] of both.entries()) {
    t.equal(done.stdout, `0\ninput ${index + 1}\n`)
    t.match(done.stderr, /said\n$/)
    t.notMatch(done.stderr, /<|>|sesame/, 'neither our marks nor the password')
  }
  t.same(asked, ['dave'])
  t.equal((await machine.run({ argv: ['id', '-un'] })).stdout, 'deploy-test\n', 'only what asks for root is root')
})

test('sudo that wants no password leaves none in the input of the command', withSudo, async (t) => {
  const password = () => Promise.reject(new Error('nobody should be asked'))
  const machine = await logIn(t, 'deploy-test ALL=(ALL) NOPASSWD: ALL', { password })
  t.equal((await machine.run(readBack, { input: 'input\n' })).stdout, '0\ninput\n')
})

test('a wrong password is a problem, and is asked for again the next time', withSudo, async (t) => {
  const answers = ['wrong', 'open sesame']
  const machine = await logIn(t, everything, { password: async () => answers.shift() ?? '' })
  await t.rejects(machine.run(readBack), { message: 'sudo on dave did not accept the password', host: 'dave' })
  t.equal((await machine.run(readBack, { input: 'x' })).stdout, '0\nx')
})

test('without anybody to ask, sudo that wants a password ends the command', withSudo, async (t) => {
  const machine = await logIn(t, everything, {})
  await t.rejects(machine.run(readBack), { message: 'sudo on dave wants a password, and nobody can be asked for it' })
})
