/** In place of the package of that name, for yargs. */
export { widthOf as default } from '../lib/screen/width.ts'
