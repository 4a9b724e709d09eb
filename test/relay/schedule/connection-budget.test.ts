import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BudgetUser, ConnectionBudget } from '../../../relay/schedule/connection-budget.ts';

class User implements BudgetUser {
  readonly budget: ConnectionBudget;
  idle = 0;
  got = 0;
  wants = 0;

  constructor(budget: ConnectionBudget) {
    this.budget = budget;
  }

  evictIdle(): boolean {
    this.idle -= 1;
    if (this.idle === 0) this.budget.hasIdle(this, false);
    this.budget.release();
    return true;
  }

  pump(): void {
    while (this.wants > 0 && this.budget.acquire(this)) {
      this.wants -= 1;
      this.got += 1;
    }
  }
}

test('never more connections than allowed; those that got none are served in order as connections end', () => {
  const budget = new ConnectionBudget(() => 2);
  const users = [new User(budget), new User(budget), new User(budget)];
  for (const user of users) {
    user.wants = 1;
    user.pump();
  }
  assert.deepEqual(
    users.map(({ got }) => got),
    [1, 1, 0],
  );
  assert.equal(budget.scarce, true);
  budget.release();
  assert.deepEqual(
    users.map(({ got }) => got),
    [1, 1, 1],
  );
  assert.equal(budget.open, 2);
  assert.equal(budget.scarce, false);
});

test('an unused connection of one lane makes room for another lane', () => {
  const budget = new ConnectionBudget(() => 1);
  const [idler, worker] = [new User(budget), new User(budget)];
  idler.wants = 1;
  idler.pump();
  idler.idle = 1;
  budget.hasIdle(idler, true);
  worker.wants = 1;
  worker.pump();
  assert.equal(worker.got, 1);
  assert.equal(idler.idle, 0);
  assert.equal(budget.open, 1);
});

test('one that waits and wants no more does not keep the connection from the next', () => {
  const budget = new ConnectionBudget(() => 1);
  const [first, second, third] = [new User(budget), new User(budget), new User(budget)];
  for (const user of [first, second, third]) {
    user.wants = 1;
    user.pump();
  }
  second.wants = 0;
  budget.release();
  assert.equal(third.got, 1);
});
