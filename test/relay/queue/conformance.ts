/**
 * What every store of the queue must do, whatever it is made of. A store's own test file calls this with how to open one; what
 * concerns disks, processes and crashes is tested there.
 */
import { afterEach, beforeEach, describe } from 'node:test';
import { administration } from './conformance-administration.ts';
import { claims } from './conformance-claims.ts';
import { contents } from './conformance-contents.ts';
import { settling } from './conformance-settle.ts';
import { type Harness, Suite } from './conformance-suite.ts';

export type { Harness };

export function conformance(store: string, open: () => Promise<Harness>): void {
  describe(store, () => {
    const suite = new Suite(store, open);
    beforeEach(() => suite.begin());
    afterEach(() => suite.end());
    contents(suite);
    claims(suite);
    settling(suite);
    administration(suite);
  });
}
