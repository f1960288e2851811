import t from 'tap'
import { EvaluationLog } from '../../lib/builders/evaluation-log.ts'
import type { Channel } from '../../lib/machine/machine.ts'

/** The warnings that come of what Nix says. */
function warnings(overridden: readonly string[], text: string): string[] {
  const told: string[] = []
  const ignore = () => {}
  const events = { progress: ignore, note: ignore, log: ignore, warning: (one: string) => void told.push(one) }
  const channel = {
    exit: new Promise(() => {}),
    onErrorOutput: (listener: (text: string) => void) =>
      listener(`@nix ${JSON.stringify({ action: 'msg', level: 1, msg: text })}\n`),
  } as unknown as Channel
  new EvaluationLog(channel, events, { overridden, builder: 'forge' })
  return told
}

t.test('a lock file that does not fit is told of, but for the inputs that were asked to be others', (t) => {
  const first = "warning: not writing modified lock file of flake 'git+file:///x':"
  const added = "• Added input 'nixpkgs':\n    'github:NixOS/nixpkgs/abc' (2026-01-01)"
  const asked =
    "• Updated input 'private':\n    'github:me/private/abc'\n  → 'path:/x'\n• Added input 'private/deep':\n    'path:/y'"
  t.match(warnings([], `${first}\n${added}\n${asked}`)[0], /nix flake lock.*\n• Added input 'nixpkgs'(?:.|\n)*deep/)
  t.match(warnings(['private'], `${first}\n${asked}\n${added}`), [
    /nix flake lock.*\n• Added input 'nixpkgs':\n {4}'github:[^\n]*$/,
  ])
  t.same(warnings(['private'], `${first}\n${asked}`), [])
  t.same(warnings(['private'], first), [])
  t.same(warnings([], first).length, 1)
  t.end()
})
