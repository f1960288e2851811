/** Root file systems: made of Debian's packages once, then the read-only lower layer of every machine's disk. */

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheDirectory } from './paths.mjs'
import { run } from './run.mjs'

const everywhere = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'openssh-server',
  'openssh-client',
  'sudo',
  'iproute2',
  'procps',
  'curl',
  'ca-certificates',
  'git',
  'zstd',
]
const withNix = [...everywhere, 'nix-bin', 'nix-setup-systemd', 'busybox-static']
const withNode = [...everywhere, 'nodejs', 'cron']

/** @type {Record<string, { suite: string, packages: string[] }>} */
export const images = {
  /** systemd 257, Nix 2.26 */
  trixie: { suite: 'trixie', packages: withNix },
  /** systemd 262, Nix 2.34 */
  forky: { suite: 'forky', packages: withNix },
  /** systemd 252, Nix 2.8 */
  bookworm: { suite: 'bookworm', packages: withNix },
  /** Node 20 and no Nix */
  control: { suite: 'trixie', packages: withNode },
}

const setup = fileURLToPath(new URL('image-setup.sh', import.meta.url))

/** Where the root file system of an image is or will be: a different place whenever its recipe changes. @param {string} name */
export function imageDirectory(name) {
  const recipe = createHash('sha256').update(JSON.stringify(images[name])).update(readFileSync(setup))
  return join(cacheDirectory, 'images', `${name}-${recipe.digest('hex').slice(0, 12)}`)
}

/** The mirror that this computer's own packages come from. */
function mirror() {
  const sources = '/etc/apt/sources.list.d/debian.sources'
  const text = existsSync(sources) ? readFileSync(sources, 'utf8') : ''
  return /^URIs:\s*(\S+)/m.exec(text)?.[1] ?? 'http://deb.debian.org/debian'
}

/** Arguments: the directory, then mmdebstrap's. Who comes while it is being made waits for it and finds it there. */
const makeOnce = `
  test ! -d "$0" || exit 0
  rm -rf "$0.partial"
  mmdebstrap "$@"
  mv "$0.partial" "$0"
`

/**
 * Makes sure that an image is there.
 * @param {string} name
 * @param {(line: string) => void} [say]
 * @returns {Promise<string>} its directory
 */
export async function ensureImage(name, say = () => {}) {
  const image = images[name]
  if (image === undefined) throw new Error(`no image is called ${name}`)
  const directory = imageDirectory(name)
  if (existsSync(directory)) return directory
  mkdirSync(join(cacheDirectory, 'images'), { recursive: true })
  say(`making a root file system of Debian ${image.suite} for ${name}, once: about a minute`)
  const recipe = [
    '--quiet',
    '--variant=minbase',
    '--mode=root',
    '--format=directory',
    '--aptopt=Acquire::Languages "none"',
    // the testing suite's release file is at times past its date; its signature is still checked
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=APT::Install-Recommends "false"',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    `--include=${image.packages.join(',')}`,
    `--customize-hook=chroot "$1" sh -eu < ${setup}`,
  ]
  await run(
    [
      'flock',
      `${directory}.lock`,
      'bash',
      '-ec',
      makeOnce,
      directory,
      ...recipe,
      image.suite,
      `${directory}.partial`,
      mirror(),
    ],
    { env: { DEBIAN_FRONTEND: 'noninteractive' } },
  )
  return directory
}
