/** lib as JavaScript, for tests that start programs of it: Node 20 reads no TypeScript, and tap's loader takes seconds each time. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')

export interface Compiled {
  /** Has `bin`, `dist/lib` and `package.json`, as an installed package does. */
  readonly directory: string
  remove(): void
}

export function compiled(): Compiled {
  const directory = mkdtempSync(join(tmpdir(), 'deploy-compiled-'))
  const options = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  }
  for (const file of readdirSync(join(root, 'lib'), { recursive: true }).map(String)) {
    if (!file.endsWith('.ts')) continue
    const { outputText } = ts.transpileModule(readFileSync(join(root, 'lib', file), 'utf8'), {
      compilerOptions: options,
    })
    const target = join(directory, 'dist/lib', file.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
  execFileSync(process.execPath, [join(root, 'build/bundle.mjs'), join(directory, 'dist/lib/bundle')])
  for (const part of ['activation', 'keys']) {
    cpSync(join(root, `lib/${part}/host`), join(directory, `dist/lib/${part}/host`), { recursive: true })
  }
  cpSync(join(root, 'bin'), join(directory, 'bin'), { recursive: true })
  cpSync(join(root, 'package.json'), join(directory, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) }
}
