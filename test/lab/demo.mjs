/** `npm run demo`: the main job on the lab, from nothing. Exit code 0 when everything happened that should happen. */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureNodePackages } from '../runner/node-packages.mjs'
import * as lab from './lab.mjs'
import { repository } from './paths.mjs'

const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined
const bold = (/** @type {string} */ text) => (colour ? `\x1b[1m${text}\x1b[0m` : text)
const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)
const tell = (/** @type {string} */ line) => say(`\n${bold(`# ${line}`)}`)

let failed = false
/** @param {boolean} held @param {string} what */
function expect(held, what) {
  say(`  ${held ? 'yes' : 'NO '}  ${what}`)
  if (!held) failed = true
}

/** Shows a command and runs it on control as its user would. @param {string} command @returns {Promise<number>} */
function onControl(command) {
  say(`\n${bold(`ops@control:~/infra$ ${command}`)}`)
  const [program = '', ...words] = [
    ...lab.sshCommand('control', { terminal: process.stdout.isTTY === true }),
    '--',
    `cd infra && ${command}`,
  ]
  return new Promise((resolve) => {
    spawn(program, words, { stdio: ['inherit', 'inherit', 'inherit'] }).on('close', (code) => resolve(code ?? 1))
  })
}

/** A script as the user on control; must succeed. @param {string} script @param {string | Buffer} [input] */
async function prepare(script, input = '') {
  const { code, stderr } = await lab.ssh('control', script, { input })
  if (code !== 0) throw new Error(`on control: ${script}: ${stderr}`)
}

/** @param {Record<string, unknown>} knobs */
async function configure(knobs) {
  say(`\n  hosts/dave.override.json: ${JSON.stringify(knobs)}`)
  const script = 'cat > hosts/dave.override.json && git add hosts/dave.override.json'
  await prepare(`cd infra/test/lab/flake && ${script}`, JSON.stringify(knobs))
}

const runningOnDave = async () => (await lab.inside('dave', 'readlink -f /run/current-system')).stdout.trim()

async function story() {
  tell('Three machines: control (Node and OpenSSH, no Nix), forge (evaluates and builds), dave (NixOS, 1 GB)')
  await lab.fresh(['forge', 'dave', 'control'])
  await prepare('mkdir -p infra/test/lab && cat > infra/hosts.yaml', readFileSync(join(repository, 'hosts.yaml')))
  await lab.putFlake('control', '/home/ops/infra/test/lab/flake')
  const first = await runningOnDave()

  tell('A new configuration, with one path of 400 MB')
  await configure({ motd: 'deployed by deploy', bigPath: 400 })
  const memory = lab.watchMemory('dave')
  const executions = await lab.recordExecutions('dave')
  const deployed = await onControl('deploy dave')
  const { idle, peak } = memory.stop()
  const programs = new Set((await executions.stop()).map(({ command }) => command))
  const second = await runningOnDave()
  const grown = Math.round((peak - idle) / 1e6)
  expect(deployed === 0 && second !== first, 'dave runs the new system')
  expect(grown < 100, `dave needed at most ${grown} MB of memory more than when idle`)
  const foreign = [...programs].filter((name) => /^nix(-build|-instantiate|-shell)?$/.test(name))
  expect(foreign.length === 0, 'nothing was evaluated or built on dave')

  tell('The same again')
  const generations = async () =>
    (await lab.inside('dave', 'ls /nix/var/nix/profiles; cat /var/lib/deploy/history')).stdout
  const before = await generations()
  expect((await onControl('deploy dave')) === 0 && (await generations()) === before, 'nothing was done')

  tell('A configuration whose web server is ill')
  await configure({ motd: 'broken', bigPath: 400, web: { status: 500 } })
  const broken = await onControl('deploy dave')
  expect(broken === 1, 'deploy says so (exit code 1)')
  expect((await runningOnDave()) === second, 'dave runs the very system that ran before')

  tell('A power cut, for good measure')
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  expect((await runningOnDave()) === second, 'dave booted the system that was confirmed')
  await onControl('deploy status dave')
  await onControl('deploy history dave')

  say('\nThe lab stays up: `npm run lab -- ssh control`, `npm run lab -- ssh dave`; `npm run lab -- down` ends it.')
}

lab.ensureRequirements(say)
const reason = lab.whyNoLab()
if (reason !== undefined) say(reason)
if (reason === undefined && ensureNodePackages(repository, say)) await story()
else failed = true
process.exitCode = failed ? 1 : 0
