/**
 * Real content: Debian packages as store paths that refer to each other by their real dependencies, in two versions. They
 * come out of the root file systems of the lab's machines, so nothing is fetched: trixie's packages, and forky's as what
 * they became later.
 *
 * References are where nixpkgs has them: each program and library names the paths of what it needs, as a RUNPATH does, and
 * scripts name them in their text. So with another dependency the bytes of its dependents change in a few places.
 */
import { spawn } from 'node:child_process'
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureImage, inside, insideCommand } from '../../test/lab/lab.mjs'

export interface Package {
  readonly name: string
  readonly version: string
  /** bytes of its files */
  readonly size: number
  /** names, only of packages that come before it */
  readonly needs: readonly string[]
  /** relative to the root */
  readonly files: readonly string[]
}

export type Suite = 'trixie' | 'forky' | 'bookworm' | 'workstation'

/** The packages of a suite's root file system, each after those it depends on. */
export async function packagesOf(suite: Suite): Promise<{ root: string; packages: readonly Package[] }> {
  const root = await ensureImage(suite)
  const described = readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8').split('\n\n')
  const found = new Map<string, { version: string; depends: string[]; files: string[]; size: number }>()
  for (const text of described) {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? ''
    const name = field('Package')
    if (name === '') continue
    const files = filesOf(root, name)
    const size = files.reduce((sum, file) => sum + lstatSync(join(root, file)).size, 0)
    const depends = `${field('Pre-Depends')}, ${field('Depends')}`
      .split(',')
      .map((one) => one.trim().split(/[ :|]/)[0] ?? '')
    if (files.length > 0) found.set(name, { version: field('Version'), depends, files, size })
  }
  const ordered = new Map<string, Package>()
  const begun = new Set<string>()
  const visit = (name: string) => {
    const one = found.get(name)
    if (!one || begun.has(name)) return
    begun.add(name)
    for (const need of one.depends) visit(need)
    // Debian's packages may depend on each other in a circle, which paths of a store can't
    const needs = one.depends.filter((need) => ordered.has(need))
    ordered.set(name, { name, version: one.version, size: one.size, needs: [...new Set(needs)], files: one.files })
  }
  for (const name of [...found.keys()].sort()) visit(name)
  return { root, packages: [...ordered.values()] }
}

function filesOf(root: string, name: string): string[] {
  const lists = ['', ':amd64'].map((suffix) => join(root, `var/lib/dpkg/info/${name}${suffix}.list`))
  const list = lists.find((file) => existsSync(file))
  if (list === undefined) return []
  return readFileSync(list, 'utf8')
    .split('\n')
    .map((file) => file.slice(1))
    .filter((file) => file.startsWith('usr/') && isFile(join(root, file)))
}

const isFile = (path: string): boolean => {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isFile() === true || found?.isSymbolicLink() === true
}

/** The first packages in that order that come to so many bytes, or a little more. */
export function upTo(packages: readonly Package[], bytes: number): Package[] {
  const taken: Package[] = []
  for (let sum = 0; sum < bytes && taken.length < packages.length; ) {
    const next = packages[taken.length] as Package
    sum += next.size
    taken.push(next)
  }
  return taken
}

export interface Content {
  /** on forge, and a root of the garbage collector there */
  readonly top: string
  /** what the closure's NARs come to, bytes, and how many paths it has */
  readonly size: number
  readonly paths: number
}

export interface Made {
  /** names what is on forge: the same name is the same content */
  readonly name: string
  /** another one gives other store paths for the same files, which is what the dependents of a changed compiler look like */
  readonly salt?: string
}

/** Builds them on forge, if they are not there yet. */
export function buildPackages(suite: Suite, packages: readonly Package[], made: Made): Promise<Content> {
  return buildOnce(made, 'content.nix', async (directory) => {
    const root = await ensureImage(suite)
    for (const one of packages) await unpack(root, one.files, `${directory}/files/${one.name}`)
    return { packages: packages.map(({ name, version, needs }) => ({ name, version, needs })) }
  })
}

/** That many paths of four small files each, the first ones of the packages that are no larger than 40 KB. */
export function buildSmall(suite: Suite, packages: readonly Package[], count: number, made: Made): Promise<Content> {
  return buildOnce(made, 'small.nix', async (directory) => {
    const root = await ensureImage(suite)
    const isSmall = (file: string) => {
      const found = lstatSync(join(root, file))
      return found.isFile() && found.size >= 2_000 && found.size <= 40_000
    }
    const byName = new Map<string, string>()
    for (const file of packages.flatMap(({ files }) => files))
      if (isSmall(file)) byName.set(file.split('/').at(-1) ?? '', file)
    const names = [...byName.keys()].filter((name) => /^\w[\w.+-]*$/.test(name)).slice(0, 4 * count)
    await unpack(
      root,
      names.map((name) => byName.get(name) ?? ''),
      `${directory}/tree`,
    )
    await onForge(`cd ${directory} && mkdir files && find tree -type f -exec mv -t files {} +`)
    const groups = Array.from({ length: count }, (_, index) => names.slice(4 * index, 4 * index + 4))
    return { groups: groups.filter((group) => group.length === 4) }
  })
}

async function buildOnce(
  { name, salt = '' }: Made,
  expression: string,
  unpackInto: (directory: string) => Promise<Record<string, unknown>>,
): Promise<Content> {
  const directory = `/var/lib/bench/${name}`
  if ((await onForge(`cat ${directory}/result 2> /dev/null || true`)) === '') {
    await onForge(`rm -rf ${directory}; mkdir -p ${directory}`)
    const data = { directory, salt, ...(await unpackInto(directory)) }
    await onForge(`cat > ${directory}/packages.json`, JSON.stringify(data))
    await onForge(`cat > ${directory}/content.nix`, readFileSync(join(import.meta.dirname, expression)))
    await onForge(`
      cd ${directory}
      export HOME=/root
      top=$(nix-build --no-out-link content.nix 2> log) || { tail -n 5 log >&2; exit 1; }
      nix-store --realise --add-root /nix/var/nix/gcroots/bench-${name} "$top" > /dev/null
      rm -rf files tree
      echo "$top $(nix-store --query --requisites "$top" | xargs nix-store --query --size | awk '{ n++; s += $1 } END { print s, n }')" > result`)
  }
  const [top = '', size, paths] = (await onForge(`cat ${directory}/result`)).trim().split(' ')
  return { top, size: Number(size), paths: Number(paths) }
}

/** Files of a root file system, below a directory on forge. */
function unpack(root: string, files: readonly string[], place: string): Promise<void> {
  const tar = ['tar', '--create', '--file=-', '--directory', root, '--null', '--files-from=-']
  const script = `mkdir -p ${place} && tar --extract --no-same-owner --file=- --directory ${place}`
  return piped(tar, insideCommand('forge', ['sh', '-c', script]), files.join('\0'))
}

function piped(from: readonly string[], to: readonly string[], input: string): Promise<void> {
  const source = spawn(from[0] ?? '', from.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
  const sink = spawn(to[0] ?? '', to.slice(1), { stdio: ['pipe', 'ignore', 'inherit'] })
  source.stdin.end(input)
  source.stdout.pipe(sink.stdin)
  return new Promise((resolve, reject) => {
    sink.on('error', reject)
    sink.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${to.join(' ')}: exit code ${code}`))))
  })
}

async function onForge(script: string, input: string | Buffer = ''): Promise<string> {
  const { code, stdout, stderr } = await inside('forge', ['sh', '-ec', script], { input })
  if (code !== 0) throw new Error(`on forge: ${stderr.slice(-2000)}`)
  return stdout
}
