/** A verb of the command line: its words and options as data, and its story. */
import type { InferredOptionTypes, Options } from 'yargs'
import type { ControlMachine } from './control-machine.ts'

/** `value` is what help calls the words behind the option. */
export type OptionTable = Readonly<Record<string, Options & { readonly value?: string }>>

/** What was typed, read and checked. */
export type Given<T extends OptionTable> = InferredOptionTypes<T> & {
  /** Hosts, tags and patterns. */
  readonly words: readonly string[]
  /** The text that `--help` shows. */
  readonly help: string
}

export interface Verb<T extends OptionTable = OptionTable> {
  /** Empty for the one that needs no name. */
  readonly name: string
  /** Its words, as help shows them. */
  readonly words: '[host..]' | '[action] [host..]' | '<host>' | '<host> [id]' | ''
  readonly summary: string
  readonly examples: readonly (readonly [line: string, meaning: string])[]
  readonly options: T
  /** Resolves with the exit code. */
  run(given: Given<T>, machine: ControlMachine): Promise<number>
}

/** Lets the compiler find out the types of the options. */
export const verb = <T extends OptionTable>(parts: Verb<T>): Verb => parts as unknown as Verb
