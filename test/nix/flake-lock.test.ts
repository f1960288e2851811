import t from 'tap'
import { lockedGitInputs } from '../../lib/nix/flake-lock.ts'

t.test('the git repositories among the inputs of a flake, as flake.lock names them', async (t) => {
  const git = { type: 'git', url: 'ssh://git@example.org/a.git', rev: 'a'.repeat(40) }
  const nodes = {
    root: { inputs: { a: 'a', b: 'b_2', hub: 'hub', followed: ['a', 'x'], sub: 'sub', unlocked: 'unlocked' } },
    a: { inputs: { inner: 'inner' }, locked: git },
    b_2: { locked: { ...git, ref: 'refs/heads/main', lastModified: 1 } },
    inner: { locked: git },
    hub: { locked: { type: 'github', owner: 'o', repo: 'r', rev: git.rev } },
    sub: { locked: { ...git, submodules: true } },
    unlocked: { locked: { type: 'git', url: git.url } },
  }
  t.strictSame(
    lockedGitInputs(JSON.stringify({ version: 7, root: 'root', nodes })),
    new Map([
      ['a', { url: git.url, rev: git.rev, ref: undefined }],
      ['b', { url: git.url, rev: git.rev, ref: 'refs/heads/main' }],
    ]),
  )
  t.strictSame(lockedGitInputs('{}'), new Map())
  t.throws(() => lockedGitInputs('<<<<<<< HEAD'))
})
