/** What the lab and the tests need of this computer, and installing it where that can be done. */

import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'

/** Program to the Debian package that has it. */
const forTheLab = {
  'systemd-nspawn': 'systemd-container',
  mmdebstrap: 'mmdebstrap',
  mke2fs: 'e2fsprogs',
  ip: 'iproute2',
  ssh: 'openssh-client',
  git: 'git',
  perl: 'perl-base',
  flock: 'util-linux',
  losetup: 'mount',
  tar: 'tar',
}

/** Unit tests that lack one of these skip themselves. */
const forUnitTests = {
  sshd: 'openssh-server',
  'ssh-agent': 'openssh-client',
  'nix-store': 'nix-bin',
  zstd: 'zstd',
  zsh: 'zsh',
  fish: 'fish',
  sudo: 'sudo',
  openssl: 'openssl',
  busybox: 'busybox-static',
}

const isRoot = () => process.getuid?.() === 0
const isDebian = () => existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')

/** @param {string} program */
const isThere = (program) =>
  [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'].some((place) => existsSync(`${place}/${program}`))

/** @param {Record<string, string>} programs */
const missing = (programs) => Object.keys(programs).filter((program) => !isThere(program))

/** @param {string} program @param {string[]} words */
const works = (program, words) => spawnSync(program, words, { stdio: 'ignore' }).status === 0

/**
 * Installs what is missing, when this is Debian and we are root.
 * @param {(line: string) => void} say
 */
export function ensureRequirements(say) {
  const programs = { ...forTheLab, ...forUnitTests }
  const packages = [...new Set(missing(programs).map((program) => programs[/** @type {'ip'} */ (program)]))]
  if (packages.length === 0 || !isRoot() || !isDebian()) return
  say(`installing Debian packages: ${packages.join(' ')}`)
  withoutStartingServices(() => {
    const install = ['install', '--yes', '--quiet=2', '--no-install-recommends']
    if (apt([...install, ...packages])) return
    apt(['update', '--quiet=2'])
    // one that does not exist must not keep the others away
    if (!apt([...install, ...packages])) for (const name of packages) apt([...install, name])
  })
}

/** @param {string[]} words */
function apt(words) {
  const { status } = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0', ...words], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  return status === 0
}

/** An sshd or Nix daemon that is installed for a test is not meant to run on this computer. @param {() => void} act */
function withoutStartingServices(act) {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return act()
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    act()
  } finally {
    rmSync(policy, { force: true })
  }
}

/** @returns {string | undefined} one line that says why there can be no lab here */
export function whyNoLab() {
  if (process.platform !== 'linux') return 'the lab needs Linux'
  if (!isRoot()) return 'the lab needs root'
  const lacking = missing(forTheLab)
  if (lacking.length > 0) return `the lab needs ${lacking.join(', ')}`
  if (!works('unshare', ['--mount', '--net', '--pid', '--fork', 'true'])) return 'the lab needs namespaces'
  if (!works('losetup', ['--find'])) return 'the lab needs a loop device'
  if (!existsSync('/sys/fs/cgroup/memory/cgroup.procs') && !existsSync('/sys/fs/cgroup/cgroup.controllers')) {
    return 'the lab needs control groups'
  }
  return undefined
}
