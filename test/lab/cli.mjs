#!/usr/bin/env node
/** `npm run lab -- VERB ...`: the lab for whoever works on deploy. */

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { hostProcesses, memory } from './cgroups.mjs'
import { insideCommand } from './inside.mjs'
import { wipeAll } from './lab.mjs'
import { address, machineNames } from './machines.mjs'
import { linkDown, linkUp, onTheNetwork } from './network.mjs'
import { machinePaths } from './paths.mjs'
import { power, powerCut, powerOn, wipe } from './power.mjs'
import { ensureRequirements, whyNoLab } from './requirements.mjs'
import { sshCommand } from './ssh.mjs'
import { down, up } from './up.mjs'

const usage = `npm run lab -- VERB ...
  up [NAME..]            make and switch on (default: forge dave control); machines: ${machineNames.join(' ')}
  down [NAME..]          shut down (default: all)
  status                 what is on, at which address, since which boot entry
  ssh [USER@]NAME [CMD]  log in as its user
  inside NAME [CMD]      root's shell through the side door: works without sshd and network
  exec CMD [ARG..]       run a program of this computer on the lab's network
  power-cut NAME         what was not synced is lost
  power-on NAME          boot what its boot loader names
  link NAME down|up      pull its cable, put it back
  memory NAME            bytes: held by processes, files, limit
  processes NAME         as seen from outside
  console NAME           what it printed since it was switched on
  wipe [NAME..]          throw disks away (default: all)
`

const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)

/** @param {string[]} argv @returns {Promise<number>} */
const hand = (argv) =>
  new Promise((resolve) => {
    const [program = '', ...rest] = argv
    spawn(program, rest, { stdio: 'inherit' }).on('close', (code) => resolve(code ?? 1))
  })

/** @type {Record<string, (...words: string[]) => unknown>} */
const verbs = {
  up: (...names) => {
    ensureRequirements(say)
    const reason = whyNoLab()
    if (reason !== undefined) throw new Error(reason)
    return up(names.length > 0 ? names : ['forge', 'dave', 'control'], { say })
  },
  down: (...names) => down(names.length > 0 ? names : undefined),
  status: () => {
    for (const name of machineNames) {
      const boot = power(name)?.boot
      const state = boot === undefined ? 'off' : boot.kind === 'nixos' ? `${boot.label}: ${boot.init}` : boot.kind
      say(`${name.padEnd(8)} ${address(name).padEnd(12)} ${state}`)
    }
  },
  ssh: (to = '', ...words) => {
    const [, user, name = ''] = /^(?:(.*)@)?(.*)$/.exec(to) ?? []
    const options = { terminal: words.length === 0, ...(user === undefined ? {} : { user }) }
    return hand([...sshCommand(name, options), ...(words.length > 0 ? ['--', words.join(' ')] : [])])
  },
  inside: (name = '', ...words) =>
    hand(insideCommand(name, ['/bin/sh', ...(words.length > 0 ? ['-c', words.join(' ')] : ['-i'])])),
  exec: (...argv) => hand(onTheNetwork(argv)),
  'power-cut': (name = '') => powerCut(name),
  'power-on': (name = '') => powerOn(name),
  link: (name = '', state) => (state === 'down' ? linkDown(name) : state === 'up' ? linkUp(name) : fail()),
  memory: (name = '') => say(JSON.stringify(memory(name))),
  processes: (name = '') => {
    for (const { pid, argv } of hostProcesses(name)) say(`${pid} ${argv.join(' ')}`)
  },
  console: (name = '') => {
    const file = machinePaths(name).console
    if (existsSync(file)) say(readFileSync(file, 'utf8'))
  },
  wipe: (...names) => (names.length > 0 ? Promise.all(names.map((name) => wipe(name))) : wipeAll()),
}

function fail() {
  process.stderr.write(usage)
  return 2
}

const [verb = '', ...words] = process.argv.slice(2)
try {
  const code = await (Object.hasOwn(verbs, verb) ? verbs[verb] : fail)?.(...words)
  if (typeof code === 'number') process.exitCode = code
} catch (error) {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
