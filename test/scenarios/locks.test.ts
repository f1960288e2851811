/** What a host keeps of deployments: their logs, the lock of one that is under way, and what is left of one that died. */
import { before, test } from 'tap'
import { inState } from './eventually.ts'
import { type Stage, setStage } from './stage.ts'

const slow = { type: 'oneshot', script: 'echo starting; sleep 4', remainAfterExit: true }

let stage: Stage
before(async () => {
  stage = await setStage({ defaults: { activation: { timeout: '20s', confirmWithin: '14s', settle: '1s' } } })
})

/** The only host of a `--json` answer. */
async function asked(...words: readonly string[]) {
  const { code, stdout, stderr } = await stage.deploy(...words, '--json')
  const answer = JSON.parse(stdout)
  return { code, stderr, ...(answer.hosts?.[0] ?? answer) }
}

test('what the switch printed can be read later, and while it is under way', async (t) => {
  t.match(await asked('log', 'dave'), { code: 1, error: { message: 'the host keeps no log' } })
  await stage.configure('dave', { motd: 'first' })
  const first = (await stage.deployHost('dave')).outcome.deploymentId
  await stage.configure('dave', { motd: 'second', services: { slow } })
  const second = stage.start('dave')
  await inState('dave', 'activating')
  const soFar = await asked('log', 'dave')
  t.match(soFar, { code: 0, underWay: true, lines: [/switch-to-configuration test$/] })
  await second.finished

  const last = await asked('log', 'dave')
  t.match(last, { code: 0, id: soFar.id, underWay: false, entry: { outcome: 'deployed', by: 'ops@control' } })
  t.match(last.lines.join('\n'), /new units were started: slow\.service[\s\S]*switch-to-configuration boot\nexit 0$/)
  t.match(await asked('log', 'dave', first), { code: 0, id: first, lines: [/switch-to-configuration test$/] })
  t.match((await stage.deploy('log', 'dave', first, '--plain')).stdout, `dave  ${first}  deployed`)
  t.match((await stage.deploy('history', 'dave', '--plain')).stdout, first, 'the ids are told')

  const unknown = await asked('log', 'dave', '20260101t000000-aaaaaa')
  t.match(unknown, {
    code: 1,
    error: { message: /keeps no log of a deployment 2026/, hints: [`it has ${last.id}, ${first}`] },
  })
  t.match(await asked('log', 'dave', '../history'), { exitCode: 2, error: { kind: 'usage' } })
  t.match(await asked('log', 'dave', "'$(reboot)'"), { exitCode: 2 })
})
