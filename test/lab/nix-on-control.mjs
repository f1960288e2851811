/** Nix on the control machine, which has none: as a person may have it there, for one user and without a daemon. */

import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureImage } from './images.mjs'
import { inside } from './inside.mjs'
import { machine } from './machines.mjs'
import { runForBytes } from './run.mjs'

/** Until its disk is thrown away. The packages are those that forge's image has and its own lacks: same suite. */
export async function putNixOnControl() {
  const [from, to] = await Promise.all([ensureImage(machine('forge').image), ensureImage(machine('control').image)])
  const there = new Set(packagesOf(to))
  const files = packagesOf(from)
    .filter((list) => !there.has(list))
    .flatMap((list) => readFileSync(join(from, database, list), 'utf8').split('\n'))
    .filter((file) => isFile(join(from, file)))
  const archive = await runForBytes(['tar', '--create', '--file=-', '-C', from, ...files.map((file) => `.${file}`)])
  const script = `
    set -eu
    tar --extract --no-overwrite-dir --file=- -C /
    ldconfig
    mkdir -p /nix /etc/nix
    chown "$1:" /nix
    printf '%s\\n' 'sandbox = false' 'substituters =' 'build-users-group =' > /etc/nix/nix.conf
  `
  const result = await inside('control', ['/bin/sh', '-c', script, 'sh', machine('control').user], { input: archive })
  if (result.code !== 0) throw new Error(`Nix can't be put on control: ${result.stderr.trim()}`)
}

const database = 'var/lib/dpkg/info'

/** @param {string} image */
const packagesOf = (image) => readdirSync(join(image, database)).filter((file) => file.endsWith('.list'))

/** Documentation is listed and not there. @param {string} file */
const isFile = (file) => lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === false
