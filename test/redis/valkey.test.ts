/** The same on Valkey, which tells when its disk has what was written, and need not sync at each write for that. */
import { after, before, describe } from 'node:test';
import { conformance } from '../relay/queue/conformance.ts';
import { openRedis, single } from '../relay/queue/redis-harness.ts';
import { findValkey } from '../setup/valkey.ts';
import { type RedisPeer, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const program = await findValkey();
const skip = program === undefined ? 'needs valkey-server: npm test fetches it' : false;

for (const appendfsync of ['always', 'everysec']) {
  describe(`On one Valkey with appendfsync ${appendfsync}`, { skip }, () => {
    const stack = new AsyncDisposableStack();
    let valkey: RedisPeer;
    before(async () => {
      const folder = stack.use(await temporaryFolder());
      const settings = { appendonly: 'yes', appendfsync };
      valkey = stack.use(await startRedis(folder.path, { settings, program: program ?? '' }));
    });
    after(() => stack.disposeAsync());

    conformance(`Valkey, ${appendfsync}`, () => openRedis(single(valkey.port)));
  });
}
