import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type HttpParts, startHttp } from '../../operator/http.ts';
import { quiet } from './kube/fakes.ts';

async function start(
  t: TestContext,
  parts: Partial<HttpParts> = {},
): Promise<(path: string, method?: string) => Promise<[number, string]>> {
  const server = await startHttp(
    {
      health: () => undefined,
      readiness: () => undefined,
      metrics: async () => ({ text: 'figure 1\n', contentType: 'text/plain; version=0.0.4' }),
      log: quiet,
      ...parts,
    },
    { address: '127.0.0.1', port: 0 },
  );
  t.after(() => server.close());
  return async (path, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return [answer.status, await answer.text()];
  };
}

test('a probe answers 200, or 503 with what is wrong', async t => {
  const ask = await start(t, { readiness: () => 'not read yet: Pod' });
  assert.deepEqual(await ask('/healthz'), [200, 'ok\n']);
  assert.deepEqual(await ask('/readyz'), [503, 'not read yet: Pod\n']);
  assert.deepEqual(await ask('/readyz?verbose'), [503, 'not read yet: Pod\n']);
});

test('metrics are text for Prometheus; one that cannot be made is a 500 without its cause', async t => {
  assert.deepEqual(await (await start(t))('/metrics'), [200, 'figure 1\n']);
  const ask = await start(t, { metrics: () => Promise.reject(new Error('a secret')) });
  assert.deepEqual(await ask('/metrics'), [500, 'internal error; the log has the cause\n']);
});

test('there is nothing else, and nothing to change', async t => {
  const ask = await start(t);
  assert.equal((await ask('/debug/pprof'))[0], 404);
  assert.equal((await ask('/metrics', 'POST'))[0], 405);
});
