/**
 * `node image/strip-types.ts FOLDER`: does in the build what Node would do at each start. Each `x.ts` becomes `x.js`, the same text with blanks for the
 * types, so that lines and columns stay, and a link of its old name, by which Node still finds it. Whoever starts `x.ts` starts JavaScript.
 */
import { globSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: node image/strip-types.ts FOLDER');

const files = globSync('**/*.ts', { cwd: folder });
if (files.length === 0) throw new Error(`no TypeScript in ${folder}`);
for (const file of files) {
  const path = join(folder, file);
  const script = path.replace(/\.ts$/, '.js');
  writeFileSync(script, stripTypeScriptTypes(readFileSync(path, 'utf8')));
  rmSync(path);
  symlinkSync(basename(script), path);
}
