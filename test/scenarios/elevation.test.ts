/** The ways to become root that need more than a rule for sudo: a password that a person types, and root's own login. */
import { spawn } from 'node:child_process'
import { before, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { type Stage, sameAsBefore, setStage } from './stage.ts'

let stage: Stage

before(async () => {
  stage = await setStage({ defaults: { activation: { timeout: '60s', confirmWithin: '60s', settle: '0s' } } })
})

const password = 'open sesame'

/** `deploy` on a terminal of the control machine, where somebody types. */
function onTerminal(words: string, answers: readonly string[]) {
  const [program = '', ...rest] = lab.sshCommand('control')
  const ssh = rest.indexOf('ssh') + 1
  const child = spawn(program, [
    ...rest.slice(0, ssh),
    '-tt',
    ...rest.slice(ssh),
    '--',
    `stty cols 80 rows 24; cd infra && deploy ${words}`,
  ])
  let shown = ''
  let answered = 0
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
    const asked = shown.split('sudo password for dave: ').length - 1
    for (; answered < Math.min(asked, answers.length); answered++) child.stdin.write(`${answers[answered]}\r`)
  })
  return new Promise<{ code: number | null; shown: string; asked: number }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, shown, asked: shown.split('sudo password for dave: ').length - 1 }))
  })
}

test('`sudo: ask`: the password is asked for once on the terminal, not shown, and the host is deployed', async (t) => {
  await stage.inside(
    'dave',
    `cp -p /etc/sudoers.d/lab /root/; echo 'my_username ALL=(ALL:ALL) ALL' > /etc/sudoers.d/lab
     echo 'my_username:${password}' | chpasswd`,
  )
  await stage.describeHost('dave', { sudo: 'ask' })
  await stage.configure('dave', { motd: 'with a password', bigPath: 20 })
  const was = await stage.facts('dave')

  const wrong = await onTerminal('dave', ['wrong'])
  t.equal(wrong.code, 1)
  t.match(wrong.shown, 'sudo on dave did not accept the password')
  sameAsBefore(t, was, await stage.facts('dave'))

  const told = await onTerminal('dave', [password])
  t.equal(told.code, 0, told.shown)
  t.equal(told.asked, 1)
  t.notMatch(told.shown, password)
  const is = await stage.facts('dave')
  t.not(is.running, was.running)
  t.same([is.profile, is.boot, is.leftBehind], [is.running, is.running, []])
  t.notMatch(await stage.inside('dave', 'journalctl -o cat'), password)

  const cron = await stage.deployHost('dave')
  t.match(cron, { code: 1, outcome: { kind: 'untouched', reason: /there is no terminal to ask for a password/ } })
  await stage.inside('dave', 'cp -p /root/lab /etc/sudoers.d/lab; passwd -q -l my_username')
})

test('`sudo: none`: root logs in itself, and no sudo is run', async (t) => {
  await stage.inside('dave', 'install -m 600 /home/my_username/.ssh/authorized_keys /root/.ssh/authorized_keys')
  await stage.describeHost('dave', { ssh: 'root@dave.lab', sudo: 'none' })
  await stage.configure('dave', { motd: 'by root', bigPath: 21 })
  const was = await stage.facts('dave')
  const recording = await lab.recordExecutions('dave')
  const { outcome, code } = await stage.deployHost('dave')
  const programs = (await recording.stop()).map(({ command }) => command)
  t.match({ outcome, code }, { code: 0, outcome: { kind: 'deployed', reason: '' } })
  t.ok(programs.includes('nix-daemon'))
  t.notOk(programs.includes('sudo'))
  const is = await stage.facts('dave')
  t.not(is.running, was.running)
  t.same([is.profile, is.boot, is.leftBehind], [is.running, is.running, []])
})
