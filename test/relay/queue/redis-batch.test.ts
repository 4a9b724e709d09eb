import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { batchOf } from '../../../relay/queue/redis/batch.ts';
import type { Command } from '../../../relay/redis/connection.ts';
import { RedisFault } from '../../../relay/redis/errors.ts';

const asks = (name: string, key = '{0}meta'): Command => ['EVALSHA', 'sha', 2, key, `${key}absent`, name];
const queued = Buffer.from('QUEUED');

describe('Questions of one write', () => {
  it('go as they are when they are not to be done together', () => {
    const asked = [asks('a'), asks('b')];
    const { commands, resultsIn } = batchOf(asked, { together: false });
    assert.deepEqual(commands, asked);
    assert.deepEqual(resultsIn([1, 2]), [1, 2]);
  });

  it('are a transaction for each slot, and one that is alone in its slot is none', () => {
    const asked = [asks('a'), asks('b', '{1}meta'), asks('c')];
    const { commands, resultsIn } = batchOf(asked, { together: true });
    assert.deepEqual(commands, [['MULTI'], asks('a'), asks('c'), ['EXEC'], asks('b', '{1}meta')]);
    assert.deepEqual(resultsIn([Buffer.from('OK'), queued, queued, [1, 3], 2]), [1, 2, 3]);
  });

  it('each have the fault that the server answered with', () => {
    const { resultsIn } = batchOf([asks('a'), asks('b')], { together: true });
    const error = Object.assign(new Error('NOSCRIPT No matching script.'), { name: 'ReplyError' });
    const [first, second] = resultsIn([Buffer.from('OK'), queued, queued, [1, error] as never]);
    assert.equal(first, 1);
    assert.ok(second instanceof RedisFault && second.noScript);
  });

  it('are all to be asked again when the server refused one as it was queued: then none ran', () => {
    const { resultsIn } = batchOf([asks('a'), asks('b')], { together: true });
    const full = new RedisFault('Full', 'OOM command not allowed');
    const aborted = new RedisFault('Refused', 'EXECABORT Transaction discarded because of previous errors.');
    assert.deepEqual(resultsIn([Buffer.from('OK'), full, queued, aborted]), ['aborted', 'aborted']);
  });

  it('are all in doubt when the answer of the transaction is lost', () => {
    const { resultsIn } = batchOf([asks('a'), asks('b')], { together: true });
    const lost = new RedisFault('Unknown', 'the connection broke');
    assert.deepEqual(resultsIn([Buffer.from('OK'), queued, queued, lost]), [lost, lost]);
  });
});
