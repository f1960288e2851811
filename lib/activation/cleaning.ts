/** Old generations of a host: which are there and needed, what they hold, and their end. */
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { beginInput, type HostProgram, verbCommand } from './host-program.ts'
import { type HostState, parseHostState, readFacts, whyNot, wholeNumber } from './host-state.ts'
import {
  followed,
  type Followed,
  runListening,
  type TransactionListener,
  type TransactionTools,
} from './transaction.ts'

export interface Survey {
  readonly state: HostState
  /** Systems that something else than their generations keeps from the garbage collector. */
  readonly rooted: ReadonlySet<string>
}

export async function survey(machine: Machine, program: HostProgram, signal: AbortSignal): Promise<Survey> {
  const finished = await machine.run(verbCommand('survey'), { input: program, timeoutMs: 120_000, signal })
  if (finished.code !== 0 || !/^end$/m.test(finished.stdout)) throw await whyNot(machine, finished)
  const facts = readFacts(finished.stdout)
  if (facts.has('rooted-unknown')) throw new Problem("the garbage collector's roots could not be listed")
  return { state: parseHostState(finished.stdout), rooted: new Set(facts.get('rooted')) }
}

/** Bytes that deleting these generations and collecting garbage would free; undefined when that can't be told. */
export async function wouldFree(
  machine: Machine,
  program: HostProgram,
  { numbers, signal }: { numbers: readonly number[]; signal: AbortSignal },
): Promise<{ readonly bytes: number | undefined; readonly bootBytes: number | undefined }> {
  const command = verbCommand('would-free', ...numbers.map(String))
  const finished = await machine.run(command, { input: program, timeoutMs: 600_000, signal })
  const facts = readFacts(finished.stdout)
  return { bytes: wholeNumber(facts.get('bytes')?.[0]), bootBytes: wholeNumber(facts.get('boot-bytes')?.[0]) }
}

export interface CleanRequest {
  readonly id: string
  /** of the generations that go */
  readonly numbers: readonly number[]
  /** refused when the host is in another state by now */
  readonly expected: HostState
  /** for the step of the boot loader */
  readonly switchTimeoutMs: number
  readonly holder: string
  readonly since: Date
}

export type Cleaned = Followed & { readonly deleted: readonly number[]; readonly freedBytes: number }

/** Deletes generations, then collects garbage; resolves when the host is through with it. */
export async function clean(
  tools: TransactionTools,
  request: CleanRequest,
  listener: TransactionListener,
  signal: AbortSignal,
): Promise<Cleaned> {
  const { running, generation, boot } = request.expected
  const input = beginInput(
    tools.program,
    request.id,
    {
      // What every deployment says, so that whoever follows or finishes it finds what he looks for.
      nonce: '',
      mode: 'clean',
      new: running,
      toplevel: running,
      switch_seconds: Math.ceil(request.switchTimeoutMs / 1000),
      confirm_seconds: 0,
      reboot_seconds: 0,
      holder_name: request.holder,
      since: request.since.toISOString(),
      record: '',
      numbers: request.numbers.join(' '),
      expected: `${running} ${generation ?? ''} ${boot}`,
    },
    'clean',
  )
  const command = { argv: ['/bin/sh', '-s'], asRoot: true }
  const finished = await runListening(tools.machine, command, { input, listener, signal })
  const facts = readFacts(finished.stdout)
  return {
    ...(await followed(tools.machine, finished)),
    deleted: (facts.get('deleted') ?? []).flatMap((number) => wholeNumber(number) ?? []),
    freedBytes: wholeNumber(facts.get('freed')?.[0]) ?? 0,
  }
}
