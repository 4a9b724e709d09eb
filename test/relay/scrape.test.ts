import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, it } from 'node:test';
import { lagSeconds } from '../../relay/scrape.ts';

describe('Event-loop lag', () => {
  it('is what comes on top of the interval that is measured at', () => {
    assert.equal(lagSeconds(20e6), 0);
    assert.ok(Math.abs(lagSeconds(70e6) - 0.05) < 1e-9);
  });

  it('is none when the timer fired early, or had no time to fire', () => {
    assert.equal(lagSeconds(19e6), 0);
    assert.equal(lagSeconds(monitorEventLoopDelay().percentile(99)), 0);
  });
});
