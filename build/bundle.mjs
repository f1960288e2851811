#!/usr/bin/env node
/**
 * `node build/bundle.mjs [DIRECTORY]`: the program in as few files as a start has to read, in DIRECTORY, by default
 * dist/lib/bundle. Node takes about a millisecond for each module, and there are some four hundred. CommonJS, since its
 * `require` of Node's own modules stays where it is needed; the standard order of ES modules loads all of them first.
 */

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)
const outdir = process.argv[2] ?? join(root, 'dist/lib/bundle')

/**
 * Large, and only for connections: a file of its own.
 * @type {import('esbuild').Plugin}
 */
const ssh2Apart = {
  name: 'ssh2 apart',
  setup({ onResolve }) {
    onResolve({ filter: /^ssh2$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './ssh2.cjs', external: true } : undefined,
    )
  },
}

/**
 * What npm compiled stays where it did. ssh2 does without when it is missing.
 * @type {import('esbuild').Plugin}
 */
const compiledParts = {
  name: 'compiled parts',
  setup({ onResolve }) {
    onResolve({ filter: /\/sshcrypto\.node$/ }, () => ({
      path: 'ssh2/lib/protocol/crypto/build/Release/sshcrypto.node',
      external: true,
    }))
    onResolve({ filter: /^cpu-features$/ }, ({ path }) => ({ path, external: true }))
  },
}

/**
 * yargs measures the lines of its help with string-width, which makes an Intl.Segmenter at each start: 10 to 20 ms. Nobody
 * sees that help, lib/cli/help.ts writes ours. ora is loaded when there is something to draw, and keeps it.
 * @type {import('esbuild').Plugin}
 */
const ownWidth = {
  name: 'own width',
  setup({ onResolve }) {
    onResolve({ filter: /^string-width$/ }, ({ importer }) =>
      importer.includes('/ora/') ? undefined : { path: join(here, 'string-width.mjs') },
    )
  },
}

/** @type {import('esbuild').BuildOptions} */
const options = {
  absWorkingDir: root,
  bundle: true,
  outdir,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  // so that `import()` becomes a `require` too
  supported: { 'dynamic-import': false },
  banner: { js: "const bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'bundleUrl' },
  logLevel: 'warning',
}

await Promise.all([
  build({ ...options, entryPoints: ['lib/main.ts'], plugins: [ssh2Apart, ownWidth] }),
  build({ ...options, entryPoints: { ssh2: 'ssh2' }, plugins: [compiledParts] }),
])
