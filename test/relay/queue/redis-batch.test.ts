import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Batch, batchOf, type Call } from '../../../relay/queue/redis/batch.ts';
import type { Command } from '../../../relay/redis/connection.ts';
import { RedisFault } from '../../../relay/redis/errors.ts';

const asks = (name: string, key = '{0}meta'): Command => ['EVALSHA', 'sha', 2, key, `${key}absent`, name];
const headOf = (command: Command): Command => [command[0], ...command.slice(1, 5)];
const callsOf = (commands: readonly Command[]): Call[] =>
  commands.map(command => ({ head: headOf(command), args: command.slice(5) }));
const batch = (commands: readonly Command[], { together }: { together: boolean }): Batch =>
  batchOf(callsOf(commands), { together, merged: true });
const error = (text: string): never => Object.assign(new Error(text), { name: 'ReplyError' }) as never;
const queued = Buffer.from('QUEUED');

describe('Questions of one write', () => {
  it('go as they are when they are not to be done together', () => {
    const asked = [asks('a'), asks('b')];
    const { commands, resultsIn } = batch(asked, { together: false });
    assert.deepEqual(commands, asked);
    assert.deepEqual(resultsIn([1, 2]), [1, 2]);
  });

  it('are a transaction for each slot, and one that is alone in its slot is none', () => {
    const asked = [asks('a'), asks('b', '{1}meta'), asks('c')];
    const { commands, resultsIn } = batch(asked, { together: true });
    assert.deepEqual(commands, [['MULTI'], asks('a'), asks('c'), ['EXEC'], asks('b', '{1}meta')]);
    assert.deepEqual(resultsIn([Buffer.from('OK'), queued, queued, [1, 3], 2]), [1, 2, 3]);
  });

  it('each have the fault that the server answered with', () => {
    const { resultsIn } = batch([asks('a'), asks('b')], { together: true });
    const [first, second] = resultsIn([Buffer.from('OK'), queued, queued, [1, error('NOSCRIPT No matching script.')]]);
    assert.equal(first, 1);
    assert.ok(second instanceof RedisFault && second.noScript);
  });

  it('are all to be asked again when the server refused one as it was queued: then none ran', () => {
    const { resultsIn } = batch([asks('a'), asks('b')], { together: true });
    const full = new RedisFault('Full', 'OOM command not allowed');
    const aborted = new RedisFault('Refused', 'EXECABORT Transaction discarded because of previous errors.');
    assert.deepEqual(resultsIn([Buffer.from('OK'), full, queued, aborted]), ['aborted', 'aborted']);
  });

  it('have their own answers when the server lets nobody begin a transaction: each ran by itself', () => {
    const { resultsIn } = batch([asks('a'), asks('b')], { together: true });
    const denied = new RedisFault('Refused', "NOPERM User relay has no permissions to run the 'multi' command");
    const none = new RedisFault('Refused', 'ERR EXEC without MULTI');
    assert.deepEqual(resultsIn([denied, 1, 2, none]), [1, 2]);
  });

  it('are all in doubt when the answer of the transaction is lost', () => {
    const { resultsIn } = batch([asks('a'), asks('b')], { together: true });
    const lost = new RedisFault('Unknown', 'the connection broke');
    assert.deepEqual(resultsIn([Buffer.from('OK'), queued, queued, lost]), [lost, lost]);
  });

  describe('for a script that takes several', () => {
    const several = (sha: string, args: readonly string[], key = '{0}meta'): Call => ({
      head: ['EVALSHA', sha, 2, key, `${key}absent`],
      args,
      tail: ['now'],
      several: true,
    });
    const head = ['EVALSHA', 'store', 2, '{0}meta', '{0}metaabsent'];

    it('go as one for each script and partition, and each has its own verdict', () => {
      const asked = [
        several('store', ['a', 'body of a']),
        several('settle', ['b']),
        several('store', ['c', 'body of c']),
        several('store', ['d'], '{1}meta'),
      ];
      const { commands, resultsIn } = batchOf(asked, { together: false, merged: true });
      assert.deepEqual(commands, [
        [...head, 'a', 'body of a', 'c', 'body of c', 'now'],
        ['EVALSHA', 'settle', 2, '{0}meta', '{0}metaabsent', 'b', 'now'],
        ['EVALSHA', 'store', 2, '{1}meta', '{1}metaabsent', 'd', 'now'],
      ]);
      const replies = [
        [9, 1, 3],
        [9, 2],
        [9, 4],
      ];
      assert.deepEqual(resultsIn(replies), [
        [9, 1],
        [9, 2],
        [9, 3],
        [9, 4],
      ]);
    });

    it('share what befalls all of them, and have an error of their own each for itself', () => {
      const asked = [several('store', ['a']), several('store', ['b']), several('store', ['c'])];
      const { resultsIn } = batchOf(asked, { together: true, merged: true });
      const full = new RedisFault('Full', 'OOM command not allowed');
      assert.deepEqual(resultsIn([full]), [full, full, full]);
      const [first, second, third] = resultsIn([[9, 0, error('WRONGTYPE of a key'), 1]]);
      assert.deepEqual(
        [first, third],
        [
          [9, 0],
          [9, 1],
        ],
      );
      assert.ok(second instanceof RedisFault && second.kind === 'Refused');
    });

    it('are not one when they are to be asked one by one, nor more than a hundred', () => {
      const asked = Array.from({ length: 250 }, (_, at) => several('store', [`m${at}`]));
      assert.equal(batchOf(asked, { together: false, merged: false }).commands.length, 250);
      const { commands, resultsIn } = batchOf(asked, { together: false, merged: true });
      assert.deepEqual(
        commands.map(({ length }) => length),
        [106, 106, 56],
      );
      const replies = [0, 100, 200].map(from => [
        9,
        ...Array.from({ length: Math.min(100, 250 - from) }, (_, at) => from + at),
      ]);
      assert.deepEqual(
        resultsIn(replies),
        asked.map((_, at) => [9, at]),
      );
    });
  });
});
