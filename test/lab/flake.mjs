/** The lab's flake: carried to a machine as a git repository, ready to be evaluated and deployed. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureBootFiles } from './boot-files.mjs'
import { ensureImage } from './images.mjs'
import { inside } from './inside.mjs'
import { isVirtual, machine } from './machines.mjs'
import { runForBytes } from './run.mjs'

/** The flake's source in the repository. */
export const flakeSource = fileURLToPath(new URL('flake', import.meta.url))

/** Says whether the flake is still the same. */
export function flakeHash() {
  const hash = createHash('sha256')
  const files = readdirSync(flakeSource, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const file of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash
      .update(`${relative(flakeSource, file)}\0`)
      .update(readFileSync(file))
      .update('\0')
  }
  return hash.digest('hex').slice(0, 12)
}

/**
 * Puts the flake on a machine that is on, in place of what is in the directory: a git repository with one commit, which
 * is the same commit every time.
 * @param {string} name
 * @param {string} directory
 * @param {{ user?: string, hosts?: readonly string[] }} [options] who owns it; hosts that it shall be able to make systems
 *   for: a virtual machine's kernel takes 10 to 30 MB
 */
export async function putFlake(name, directory, { user = machine(name).user, hosts = [] } = {}) {
  const bootFiles = await Promise.all(hosts.filter(isVirtual).map(ensureBootFiles))
  const overlays = bootFiles.flatMap((each) => ['-C', each, '.'])
  const busybox = join(await ensureImage('trixie'), 'usr/bin')
  const files = ['--sort=name', '--owner=0', '--group=0', '--mtime=@0', '--create', '--file=-']
  const archive = await runForBytes(['tar', ...files, '-C', flakeSource, '.', '-C', busybox, 'busybox', ...overlays])
  const script = `
    set -eu
    directory=$1 user=$2
    rm -rf "$directory"
    mkdir -p "$directory"
    cd "$directory"
    tar --extract --no-same-owner --file=-
    # the only program that its builds have: without nixpkgs, they bring their own shell
    mkdir -p bb/bin
    mv busybox bb/bin/
    for applet in $(bb/bin/busybox --list); do
      [ "$applet" = busybox ] || for bin in bb*/bin; do ln -s busybox "$bin/$applet"; done
    done
    chown -R "$user:" .
    as_user() { runuser -u "$user" -- env HOME="$directory" "$@"; }
    export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
    as_user git init --quiet --initial-branch=main
    as_user git add --all
    as_user git -c user.name=lab -c user.email=lab@lab commit --quiet --message='The lab'
  `
  const argv = ['/bin/sh', '-c', script, 'sh', directory, user]
  const result = await inside(name, argv, { input: archive })
  if (result.code !== 0) throw new Error(`the flake can't be put on ${name}: ${result.stderr.trim()}`)
}
