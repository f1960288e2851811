/** Root file systems: made of Debian's packages once, then the read-only lower layer of every machine's disk. */

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureEmulation } from './emulation.mjs'
import { cacheDirectory } from './paths.mjs'
import { run } from './run.mjs'

const setup = 'image-setup.sh'
/** @param {string} file */
const beside = (file) => fileURLToPath(new URL(file, import.meta.url))

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
/** `time` tells how much memory a process took. */
const withBoth = [...withNix, 'nodejs', 'time']

/**
 * @typedef {object} Image
 * @property {string} suite
 * @property {string[]} packages
 * @property {string} [setup]         a script of this directory, run in the new root; without one it is no machine's
 * @property {string} [architecture]  Debian's name of it, when it isn't this computer's: its programs are emulated
 * @property {true} [unpacked]        these packages alone, and nothing of them is run
 * @property {string} [kernel]        the package of a kernel, put into /usr/lib/lab-kernel by image-kernel.sh
 */

/** @type {Record<string, Image>} */
export const images = {
  /** systemd 257, Nix 2.26 */
  trixie: { suite: 'trixie', packages: withNix, setup },
  /** systemd 262, Nix 2.34 */
  forky: { suite: 'forky', packages: withNix, setup },
  /** systemd 252, Nix 2.8 */
  bookworm: { suite: 'bookworm', packages: withNix, setup },
  /** Node 20 and no Nix */
  control: { suite: 'trixie', packages: withNode, setup },
  /** both of them, for benchmarks */
  workstation: { suite: 'trixie', packages: withBoth, setup },
  /** the same as trixie for 64-bit ARM, with a kernel of its own */
  pi: {
    suite: 'trixie',
    packages: [...withNix, 'kmod'],
    setup,
    architecture: 'arm64',
    kernel: 'linux-image-cloud-arm64',
  },
  /** the same as trixie with a kernel of its own, systemd-boot, and what finds the partitions of a disk */
  otto: {
    suite: 'trixie',
    packages: [...withNix, 'kmod', 'udev', 'systemd-boot-efi', 'systemd-boot-tools'],
    setup,
    kernel: 'linux-image-cloud-amd64',
  },
  /** qemu 10, U-Boot 2025.01, UEFI firmware, tools for disks, whatever this computer's own Debian has; nothing of it runs but these */
  emulator: {
    suite: 'trixie',
    packages: ['qemu-system-arm', 'qemu-system-x86', 'qemu-user', 'u-boot-qemu', 'ovmf', 'fdisk', 'mtools'],
  },
  /** for programs of 64-bit ARM: see emulation.mjs */
  'user-emulator': { suite: 'trixie', packages: ['qemu-user'], unpacked: true },
  /** such a program */
  'arm-busybox': { suite: 'trixie', packages: ['busybox-static'], architecture: 'arm64', unpacked: true },
}

/** Where the root file system of an image is or will be: a different place whenever its recipe changes. @param {string} name */
export function imageDirectory(name) {
  const { setup: _, ...rest } = images[name] ?? {}
  const recipe = createHash('sha256').update(JSON.stringify(rest))
  for (const file of scriptsOf(name)) recipe.update(readFileSync(file))
  return join(cacheDirectory, 'images', `${name}-${recipe.digest('hex').slice(0, 12)}`)
}

/** @param {string} name */
const scriptsOf = (name) =>
  [images[name]?.setup, images[name]?.kernel && 'image-kernel.sh'].filter((file) => file !== undefined).map(beside)

/** Whether its programs are emulated on this computer. @param {string} name */
export const isForeign = (name) => images[name]?.architecture !== undefined

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
  say(
    `making a root file system of Debian ${image.suite} for ${name}, once: ${isForeign(name) && !image.unpacked ? 'some ten minutes' : 'about a minute'}`,
  )
  const foreign = isForeign(name) ? [`--architectures=${image.architecture}`, '--skip=check/qemu'] : []
  if (isForeign(name) && !image.unpacked) await ensureEmulation(say)
  const hooks = [
    ...(image.setup === undefined ? [] : [`chroot "$1" sh -eu < ${beside(image.setup)}`]),
    ...(image.kernel === undefined ? [] : [`sh -eu ${beside('image-kernel.sh')} "$1" ${image.kernel}`]),
  ]
  const recipe = [
    ...foreign,
    '--quiet',
    `--variant=${image.unpacked ? 'extract' : 'minbase'}`,
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
    ...hooks.map((hook) => `--customize-hook=${hook}`),
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
