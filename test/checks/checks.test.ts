import { test } from 'tap'
import type { CheckEdge, Health } from '../../lib/checks/check.ts'
import { checkFor } from '../../lib/checks/index.ts'
import { troubleOf } from '../../lib/checks/unit.ts'
import type { CheckSpec } from '../../lib/inventory/inventory.ts'
import { commandLine } from '../../lib/machine/command.ts'
import type { Finished, Machine } from '../../lib/machine/machine.ts'

const timing = { severity: 'required', timeoutMs: 1500, intervalMs: 1000 } as const
const signal = new AbortController().signal
const healthy: Health = { healthy: true }
const unhealthy = (reason: string): Health => ({ healthy: false, reason })
const finished = (code: number | null, stdout = '', stderr = ''): Finished => ({
  code,
  signal: code === null ? 'SIGKILL' : null,
  lost: false,
  stdout,
  stderr,
})

/** Answers the command lines it is told, in that order, and no others. */
function machine(...script: [line: string, answer: Finished][]): Machine {
  return {
    async run(command) {
      const [line, answer] = script.shift() ?? []
      const asked = commandLine(command, 'passwordless')
      if (asked !== line || !answer) throw new Error(`unexpected: ${asked}`)
      return answer
    },
  } as Partial<Machine> as Machine
}

/** An edge where only this can be asked. */
const edge = (only: Partial<CheckEdge>): CheckEdge => only as CheckEdge
const noEdge = edge({})
const noMachine = machine()

test('a check has the title, time limits and severity of its entry', async (t) => {
  const specs: [CheckSpec, string][] = [
    [{ kind: 'unit', unit: 'nginx.service', ...timing }, 'unit nginx.service'],
    [
      { kind: 'http', url: 'http://x/y', expect: '2xx', headers: { Authorization: 's3cret' }, ...timing },
      'http http://x/y',
    ],
    [{ kind: 'tcp', host: 'dave', port: 22, ...timing }, 'tcp dave:22'],
    [{ kind: 'tcp', host: 'fe80::1', port: 22, ...timing }, 'tcp [fe80::1]:22'],
    [{ kind: 'command', argv: ['test', '-e', '/run/ready'], ...timing }, 'command test -e /run/ready'],
    [
      { kind: 'local', argv: ['sh', '-c', `two\n lines ${'x'.repeat(99)}`], ...timing },
      `local sh -c two lines ${'x'.repeat(57)}…`,
    ],
  ]
  for (const [spec, title] of specs) {
    t.match(checkFor({ ...spec, severity: 'warn' }), { title, severity: 'warn', timeoutMs: 1500, intervalMs: 1000 })
  }
})

test('an http check wants the class of a status, or the very status', async (t) => {
  const answers = async (status: number, expect: string) => {
    const asked: unknown[] = []
    const check = checkFor({ kind: 'http', url: 'http://x/y', expect, headers: { Host: 'z' }, ...timing })
    const httpStatus: CheckEdge['httpStatus'] = async (url, { headers }) => {
      asked.push([url, headers])
      return status
    }
    const health = await check.run({ machine: noMachine, edge: edge({ httpStatus }) }, signal)
    t.same(asked, [['http://x/y', { Host: 'z' }]])
    return health
  }
  t.same(await answers(200, '2xx'), healthy)
  t.same(await answers(299, '2xx'), healthy)
  t.same(await answers(301, '2xx'), unhealthy('answered 301 instead of 2xx'))
  t.same(await answers(500, '2xx'), unhealthy('answered 500 instead of 2xx'))
  t.same(await answers(204, '204'), healthy)
  t.same(await answers(200, '204'), unhealthy('answered 200 instead of 204'))
  t.same(await answers(401, '4xx'), healthy)
})

test('a tcp check is healthy when its very address accepts', async (t) => {
  const check = checkFor({ kind: 'tcp', host: 'dave', port: 22, ...timing })
  const asked: unknown[] = []
  const tcpConnect: CheckEdge['tcpConnect'] = async (address) => void asked.push(address)
  t.same(await check.run({ machine: noMachine, edge: edge({ tcpConnect }) }, signal), healthy)
  t.same(asked, [{ host: 'dave', port: 22 }])
})

test('a command runs on the host as the login user, for no longer than its time limit, and its exit code decides', async (t) => {
  const line = 'timeout --kill-after=1 1.5 test -e "a b"'.replace('"a b"', "'a b'")
  const answer = (end: Finished) => {
    const check = checkFor({ kind: 'command', argv: ['test', '-e', 'a b'], ...timing })
    return check.run({ machine: machine([line, end]), edge: noEdge }, signal)
  }
  t.same(await answer(finished(0)), healthy)
  t.same(await answer(finished(1)), unhealthy('exited with 1'))
  t.same(await answer(finished(2, 'out', 'one\nlast words\n')), unhealthy('exited with 2: last words'))
  t.same(await answer(finished(2, 'said on stdout\n')), unhealthy('exited with 2: said on stdout'))
  t.same(await answer(finished(124)), unhealthy('took too long and was ended'))
  t.same(await answer(finished(127, '', 'timeout: failed to run')), unhealthy('there is no program test on the host'))
  t.same(await answer(finished(null)), unhealthy('was killed'))
})

test('a local check is a program here, with its arguments as they are', async (t) => {
  const answer = (code: number | null, output: string) => {
    const runLocal: CheckEdge['runLocal'] = async (argv) => {
      t.same(argv, ['./smoke.sh', 'a b'])
      return { code, output }
    }
    const check = checkFor({ kind: 'local', argv: ['./smoke.sh', 'a b'], ...timing })
    return check.run({ machine: noMachine, edge: edge({ runLocal }) }, signal)
  }
  t.same(await answer(0, 'fine'), healthy)
  t.same(await answer(3, 'first\nno answer from dave\n'), unhealthy('exited with 3: no answer from dave'))
})

const show =
  'systemctl show --property=LoadState,ActiveState,SubState,Result,Type,NRestarts,InactiveEnterTimestampMonotonic,' +
  'ConditionResult,ConditionTimestampMonotonic -- nginx.service'
const shown = (state: Record<string, string>) =>
  finished(
    0,
    Object.entries(state)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
const running = { LoadState: 'loaded', ActiveState: 'active', SubState: 'running', Result: 'success', Type: 'simple' }

test('a unit is asked for with one command, and a restart by systemd between two tries is found out', async (t) => {
  const check = checkFor({ kind: 'unit', unit: 'nginx.service', ...timing })
  const host = machine(
    [show, shown({ ...running, NRestarts: '4' })],
    [show, shown({ ...running, NRestarts: '4' })],
    [show, shown({ ...running, NRestarts: '5', Result: 'exit-code' })],
    [show, shown({ ...running, NRestarts: '5' })],
    [show, finished(1, '', 'Failed to connect to bus: Connection refused\n')],
  )
  const ask = () => check.run({ machine: host, edge: noEdge }, signal)
  t.same(await ask(), healthy, 'restarts of before are no trouble')
  t.same(await ask(), healthy)
  t.same(await ask(), unhealthy('was restarted by systemd (exit-code)'))
  t.same(await ask(), healthy)
  t.same(await ask(), unhealthy('systemctl exited with 1: Failed to connect to bus: Connection refused'))
})

/** What systemd says, beside `LoadState=loaded`, and what an operator would say. */
const judgements: [Record<string, string>, string][] = [
  [{ ActiveState: 'active', SubState: 'running' }, ''],
  [{ ActiveState: 'active', SubState: 'exited', Type: 'oneshot' }, ''],
  [{ ActiveState: 'active', SubState: 'waiting' }, ''],
  [{ ActiveState: 'reloading', SubState: 'reload' }, ''],
  [{ ActiveState: 'activating', SubState: 'start-pre' }, 'is activating (start-pre)'],
  [{ ActiveState: 'activating', SubState: 'auto-restart', Result: 'exit-code' }, 'is activating (auto-restart)'],
  [{ ActiveState: 'deactivating', SubState: 'stop-sigterm' }, 'is deactivating (stop-sigterm)'],
  [{ ActiveState: 'failed', SubState: 'failed', Result: 'exit-code' }, 'is failed (exit-code)'],
  [{ ActiveState: 'failed', SubState: 'failed', Result: 'resources' }, 'is failed (resources)'],
  [
    {
      ActiveState: 'inactive',
      SubState: 'dead',
      Type: 'simple',
      Result: 'success',
      InactiveEnterTimestampMonotonic: '5',
    },
    'is inactive',
  ],
  [
    {
      ActiveState: 'inactive',
      SubState: 'dead',
      Type: 'oneshot',
      Result: 'success',
      InactiveEnterTimestampMonotonic: '5',
    },
    '',
  ],
  [
    {
      ActiveState: 'inactive',
      SubState: 'dead',
      Type: 'oneshot',
      Result: 'success',
      InactiveEnterTimestampMonotonic: '0',
    },
    'has not run since the boot',
  ],
  [
    {
      ActiveState: 'inactive',
      Type: 'oneshot',
      Result: 'success',
      InactiveEnterTimestampMonotonic: '5',
      ConditionResult: 'no',
      ConditionTimestampMonotonic: '9',
    },
    'is inactive: a condition of the unit is not met',
  ],
  [{ ActiveState: 'inactive', SubState: 'dead' }, 'is inactive'],
  [{ LoadState: 'not-found', ActiveState: 'inactive' }, 'is not known to systemd'],
  [{ LoadState: 'masked', ActiveState: 'inactive' }, 'is masked'],
  [{ LoadState: 'bad-setting', ActiveState: 'inactive' }, 'is bad-setting'],
  [{ LoadState: '' }, 'is in no state that systemd tells'],
]

for (const [state, trouble] of judgements) {
  const words = Object.values(state)
    .filter((word) => !/^\d*$/.test(word))
    .join(' ')
  test(`a unit that is ${words || 'without a state'} is ${trouble === '' ? 'healthy' : `not healthy: it ${trouble}`}`, async (t) => {
    t.equal(troubleOf({ LoadState: 'loaded', ...state }), trouble)
  })
}
