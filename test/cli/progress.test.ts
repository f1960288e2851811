import { test } from 'tap'
import { progressFor } from '../../lib/cli/at-work.ts'
import type { Progress } from '../../lib/cli/progress.ts'
import type { DeploymentEvent } from '../../lib/deployment/event.ts'
import type { Outcome, OutcomeKind } from '../../lib/deployment/outcome.ts'
import type { Stage } from '../../lib/problem.ts'
import { plain } from '../../lib/screen/line.ts'

const outcome = (host: string, kind: OutcomeKind, reason = ''): DeploymentEvent => ({
  kind: 'outcome',
  host,
  outcome: { host, kind, reason, running: '', milliseconds: 3000, sentBytes: 0 } as Outcome,
})
const stage = (host: string, name: Stage): DeploymentEvent => ({ kind: 'stage', host, stage: name })
const says = (host: string, name: Stage, text: string): DeploymentEvent => ({
  kind: 'progress',
  host,
  stage: name,
  text,
})
const note = (host: string, name: Stage, text: string): DeploymentEvent => ({ kind: 'note', host, stage: name, text })
const warning = (host: string, text: string): DeploymentEvent => ({ kind: 'warning', host, text })
const log = (host: string, line: string): DeploymentEvent => ({ kind: 'log', host, stage: 'build', line })

/** Events, half a second apart; everything that was printed for good. */
function printed(progress: Progress, events: readonly DeploymentEvent[]): string[] {
  return events.flatMap((event, index) => progress.take(event, index * 500)).map(plain)
}

const watched = { isWatched: true, animates: true, verbose: false }

/** One of each, in an order that occurs. */
const everything: DeploymentEvent[] = [
  stage('dave', 'preflight'),
  warning('dave', 'nixos-upgrade.timer is active'),
  stage('dave', 'build'),
  log('dave', "building '/nix/store/x.drv'"),
  says('dave', 'build', '1/1 derivations'),
  stage('dave', 'activate'),
  note('dave', 'activate', 'activated'),
  outcome('dave', 'deployed'),
]

test('one host: its stages as they end, with how long they took', (t) => {
  t.strictSame(printed(progressFor({ ...watched, hosts: ['dave'] }), everything), [
    'deploy: warning: dave: nixos-upgrade.timer is active',
    '✓ preflight 1.0 s',
    '✓ build 1.5 s',
    '  activated',
    '✓ activate 1.0 s',
  ])
  t.end()
})

test('what goes on for long has its own time, whatever begins and ends beside it', (t) => {
  for (const hosts of [['dave'], ['dave', 'erin']]) {
    const progress = progressFor({ ...watched, hosts })
    const last = (now: number) => progress.frame(now, 20).map(plain).at(-1)
    progress.take(stage('dave', 'build'), 0)
    progress.take(says('dave', 'build', 'building linux (1 of 3)'), 2000)
    t.match(last(5000), /building linux \(1 of 3\)$/)
    t.match(last(14_000), /14 s +building linux \(1 of 3\) 12 s$/)
    progress.take(says('dave', 'build', 'building bash (1 of 3)'), 15_000)
    t.match(last(16_000), /building bash \(1 of 3\)$/)
    progress.take(says('dave', 'build', 'building linux (2 of 3)'), 17_000)
    t.match(last(32_000), /32 s +building linux \(2 of 3\) 30 s$/)
    progress.take(stage('dave', 'copy'), 40_000)
    progress.take(says('dave', 'copy', 'building linux (2 of 3)'), 42_000)
    t.match(last(45_000), /building linux \(2 of 3\)$/, 'another stage begins anew')
  }
  t.end()
})

test('one host: what is under way is shown in one line', (t) => {
  const progress = progressFor({ ...watched, hosts: ['dave'] })
  t.strictSame(progress.frame(0, 20), [], 'nothing before the first event')
  progress.take(stage('dave', 'preflight'), 0)
  progress.take(says('dave', 'evaluate', 'evaluating dave'), 100)
  t.strictSame(progress.frame(700, 20).map(plain), ['preflight 0.7 s'], 'the builder may be ahead of the host')
  progress.take(stage('dave', 'copy'), 1000)
  progress.take(says('dave', 'copy', '3/44 paths'), 1500)
  t.strictSame(progress.frame(13_000, 20).map(plain), ['copy 12 s  3/44 paths'])
  progress.take(outcome('dave', 'deployed'), 14_000)
  t.strictSame(progress.frame(15_000, 20), [])
  t.end()
})

test('one host: a stage that led to a roll back has failed, the roll back itself has not', (t) => {
  const progress = progressFor({ ...watched, hosts: ['dave'] })
  const events = [stage('dave', 'verify'), stage('dave', 'roll back'), outcome('dave', 'rolled back', 'http: 500')]
  t.strictSame(printed(progress, events), ['✗ verify 0.5 s', '✓ roll back 0.5 s'])
  const other = progressFor({ ...watched, hosts: ['dave'] })
  t.strictSame(printed(other, [stage('dave', 'copy'), outcome('dave', 'untouched', 'disk full')]), ['✗ copy 0.5 s'])
  t.end()
})

test('several hosts: how many are done, and a line for each that is worked on', (t) => {
  const progress = progressFor({ ...watched, hosts: ['dave', 'erin', 'frank'] })
  const events = [
    stage('', 'evaluate'),
    ...['dave', 'erin', 'frank'].map((host) => stage(host, 'preflight')),
    outcome('frank', 'unreachable', 'no answer from frank.lab'),
    stage('', 'build'),
    says('', 'build', '3/20 derivations'),
    stage('dave', 'copy'),
    says('dave', 'copy', '3/44 paths'),
  ]
  t.strictSame(printed(progress, events), [
    '✗ frank  unreachable  no answer from frank.lab (3.0 s)',
    '✓ evaluate 2.5 s',
  ])
  t.strictSame(progress.frame(5000, 20).map(plain), [
    '1/3 done',
    '  all hosts  build      2.5 s   3/20 derivations',
    '  dave   copy       1.5 s   3/44 paths',
    '  erin   preflight  4.0 s ',
  ])
  progress.take(stage('erin', 'copy'), 5000)
  t.notMatch(progress.frame(5000, 20).map(plain).join('\n'), 'all hosts', 'nobody waits for the build any more')
  t.end()
})

test('several hosts: there are never more lines than the terminal has', (t) => {
  const hosts = Array.from({ length: 50 }, (_, index) => `host${index}`)
  const progress = progressFor({ ...watched, hosts })
  for (const host of hosts) progress.take(stage(host, 'preflight'), 0)
  progress.take(stage('host40', 'activate'), 0)
  for (const rows of [1, 2, 3, 10, 60]) {
    const lines = progress.frame(0, rows).map(plain)
    t.ok(lines.length <= Math.max(2, rows), `${lines.length} lines in ${rows} rows`)
    if (rows > 2) t.match(lines.join('\n'), 'host40', 'the one that is furthest is among them')
    const shown = lines.filter((line) => / host\d/.test(line)).length
    if (rows < 50) t.equal(lines.at(-1), `  … and ${50 - shown} more`)
  }
  t.end()
})

test('a host that was only looked at is done as well', (t) => {
  const progress = progressFor({ ...watched, hosts: ['dave', 'erin'] })
  progress.take(says('dave', 'preflight', 'logging in'), 0)
  progress.take(says('erin', 'preflight', 'logging in'), 0)
  t.strictSame(progress.take({ kind: 'done', host: 'dave' }, 100), [])
  t.strictSame(progress.frame(300, 20).map(plain), ['1/2 done', '  erin  preflight  0.3 s   logging in'])
  t.end()
})

test('with -v the output of Nix and of the switch is shown, under the name of its host', (t) => {
  const line = "dave │ building '/nix/store/x.drv'"
  for (const hosts of [['dave'], ['dave', 'erin']]) {
    for (const animates of [true, false]) {
      const loud = printed(progressFor({ ...watched, animates, hosts, verbose: true }), everything)
      t.ok(loud.includes(line), loud.join('\n'))
      const quiet = printed(progressFor({ ...watched, animates, hosts }), everything)
      t.notOk(quiet.includes(line))
    }
  }
  t.end()
})

test('where nobody watches, as under cron, only warnings are printed', (t) => {
  const unwatched = { hosts: ['dave'], isWatched: false, animates: false }
  t.strictSame(printed(progressFor({ ...unwatched, verbose: false }), everything), [
    'deploy: warning: dave: nixos-upgrade.timer is active',
  ])
  t.strictSame(printed(progressFor({ ...unwatched, verbose: true }), everything), [
    'dave: preflight',
    'deploy: warning: dave: nixos-upgrade.timer is active',
    'dave: build',
    "dave │ building '/nix/store/x.drv'",
    'dave: activate',
    'dave: activate: activated',
    'dave: deployed',
  ])
  t.strictSame(progressFor({ ...unwatched, verbose: true }).frame(0, 20), [])
  t.end()
})
