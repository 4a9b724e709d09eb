import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Held } from '../../../relay/schedule/held.ts';
import { Line } from '../../../relay/schedule/line.ts';
import { held } from './dead-lane.ts';

function lineOf(...ids: readonly string[]): { line: Line; unsure: Set<string>; unheard: Set<string>; all: Held[] } {
  const [unsure, unheard] = [new Set<string>(), new Set<string>()];
  const idOf = ({ claim }: Held): string => claim.message.id;
  const line = new Line({ sure: each => !unsure.has(idOf(each)), unheard: each => unheard.has(idOf(each)) });
  const all = ids.map(id => held(id));
  for (const each of all) line.push(each);
  return { line, unsure, unheard, all };
}

function takeNext(line: Line): string | undefined {
  const next = line.next();
  if (next !== undefined) line.take(next);
  return next?.claim.message.id;
}

test('what is not known as ours lets others by, and keeps its place', () => {
  const { line, unsure } = lineOf('a', 'b', 'c');
  unsure.add('a');
  assert.equal(takeNext(line), 'b');
  assert.equal(line.length, 2);
  unsure.clear();
  assert.deepEqual([takeNext(line), takeNext(line), takeNext(line)], ['a', 'c', undefined]);
});

test('where nobody answers whose it is, it takes no place in the line until somebody does', () => {
  const { line, unsure, unheard } = lineOf('a', 'b', 'c');
  for (const id of ['a', 'c']) {
    unsure.add(id);
    unheard.add(id);
  }
  assert.equal(takeNext(line), 'b');
  assert.equal(takeNext(line), undefined);
  assert.deepEqual([line.length, line.isEmpty], [0, false]);
  line.push(held('d'));
  line.recall();
  assert.equal(takeNext(line), 'd');
  unsure.delete('a');
  line.recall();
  assert.equal(takeNext(line), 'a');
  assert.deepEqual(
    line.takeAll().map(({ claim }) => claim.message.id),
    ['c'],
  );
  assert.equal(line.isEmpty, true);
});

test('what is lost comes to the front, to be forgotten', () => {
  const { line, unsure, unheard, all } = lineOf('a', 'b');
  unsure.add('a');
  unheard.add('a');
  assert.equal(line.next(), all[1]);
  for (const each of all) each.lost = each === all[0];
  line.recall();
  assert.equal(takeNext(line), 'a');
});
