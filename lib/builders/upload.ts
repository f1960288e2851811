/** Sends a directory that is no git repository as a tar archive, with its times, which are part of what Nix sees. */
import { pipeline } from 'node:stream/promises'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'

// Unpacked one level down, since the archive brings the age of its top directory, and old ones are cleaned away.
const uploadScript = `set -u
umask 077
sources=$HOME/.cache/deploy/sources
mkdir -p "$sources" && place=$(mktemp -d "$sources/path-XXXXXX") && mkdir "$place/source" || exit 1
if tar -x -f - -C "$place/source"; then echo "$place"; else rm -rf "$place"; exit 1; fi
`

/** Resolves with the place on the builder: the directory is `source` in there. */
export async function upload(from: Machine, to: Machine, request: { directory: string; signal: AbortSignal }) {
  const { directory, signal } = request
  // Without this variable, tar on macOS adds files of its own.
  const argv = ['env', 'COPYFILE_DISABLE=1', 'tar', '-c', '-f', '-', '-C', directory, '.']
  const [packing, unpacking] = await Promise.all([
    from.open({ argv }, signal),
    to.open({ argv: ['sh', '-c', uploadScript] }, signal),
  ])
  packing.stdin.end()
  const chunks: Buffer[] = []
  unpacking.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  // When the other side ends early, its exit status and words say more than the broken pipe.
  await pipeline(packing.stdout, unpacking.stdin).catch(() => packing.close())
  const packed = await packing.exit
  if (packed.code !== 0) unpacking.close()
  const unpacked = await unpacking.exit
  signal.throwIfAborted()
  if (packed.code === 0 && unpacked.code === 0) return Buffer.concat(chunks).toString().trim()
  const failed = unpacked.code === 0 || unpacked.code === null ? packing : unpacking
  throw new Problem(`${directory} could not be sent to ${to.name}`, {
    stage: 'evaluate',
    ...(unpacked.lost && { kind: 'unreachable' as const }),
    detail: failed.errorOutput().trim(),
  })
}
