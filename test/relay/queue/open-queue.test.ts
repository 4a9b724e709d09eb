import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mustRun } from '../../support/processes.ts';

const root = new URL('../../..', import.meta.url).href;

/** How many files of the client of Redis a process has loaded once it has imported that file of ours. */
async function clientFilesLoadedBy(file: string): Promise<number> {
  const script = `
    import { createRequire } from 'node:module';
    await import('${root}${file}');
    console.log(Object.keys(createRequire('${root}package.json').cache).filter(path => path.includes('/ioredis/')).length);
  `;
  const stdout = await mustRun(process.execPath, ['--input-type=module', '-e', script], { timeoutMs: 30_000 });
  return Number(stdout.trim());
}

test('a relay with a queue of its own does not load the client of Redis', async () => {
  assert.equal(await clientFilesLoadedBy('relay/relay.ts'), 0);
  assert.ok((await clientFilesLoadedBy('relay/queue/redis/open.ts')) > 0);
});
