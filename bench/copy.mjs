/**
 * The copy stage of a deployment and nothing else, of a path that need be no system: both logins, the question to the host,
 * and the copy. `copy.mjs HOST PATH`, in the directory of hosts.yaml; DEPLOY_BENCH_DELTA is `copy.delta`. Prints what was sent,
 * as JSON.
 */
import { readFileSync } from 'node:fs'
import { hostProgram } from '../dist/lib/activation/host-program.js'
import { openBuilders } from '../dist/lib/builders/index.js'
import { probe } from '../dist/lib/activation/host-state.js'
import { copyClosure } from '../dist/lib/deployment/copy-closure.js'
import { nothingYet } from '../dist/lib/deployment/outcomes.js'
import { openSession } from '../dist/lib/deployment/session.js'
import { systemClock } from '../dist/lib/edge/clock.js'
import { codecs } from '../dist/lib/edge/codecs.js'
import { readHostProgramParts, secrets } from '../dist/lib/edge/files.js'
import { localMachine } from '../dist/lib/edge/local-machine.js'
import { sshNetwork } from '../dist/lib/edge/ssh.js'
import { readInventory } from '../dist/lib/inventory/read.js'

const [name = '', path = ''] = process.argv.slice(2)
const file = `${process.cwd()}/hosts.yaml`
const inventory = readInventory(readFileSync(file, 'utf8'), file)
const described = inventory.hosts.get(name)
const delta = process.env.DEPLOY_BENCH_DELTA ?? described.copy.delta
const host = { ...described, copy: { ...described.copy, delta } }
const network = sshNetwork()
const signal = new AbortController().signal
const here = localMachine()
const clock = systemClock
const builders = openBuilders(inventory.builders, { network, here, secrets, clock, source: inventory })
const builder = await builders.choose(host.builders.slice(0, 1))
const program = hostProgram(await readHostProgramParts('activation'))
const report = ({ kind, text, line }) => {
  if (kind === 'note' || kind === 'warning' || (kind === 'log' && line?.startsWith('patches:')))
    process.stderr.write(`${text ?? line}\n`)
}
const tools = { network, clock, program, report, codecs, signal, giveUp: signal }
const session = openSession(host, network)
const gathered = nothingYet()
const state = await probe(await session.machine(signal), program, signal)
const { release } = await copyClosure({ host, session, tools, gathered, mode: 'test' }, { path, builder }, state)
release()
await Promise.all([session.close(), builders.close()])
process.stdout.write(
  `${JSON.stringify({ paths: gathered.sentPaths, bytes: gathered.sentBytes, spared: gathered.sparedBytes })}\n`,
)
process.exit()
