// `helm test`: the operator answers through its Service, and has read the cluster.
import { setTimeout as delay } from 'node:timers/promises';

const address = process.env.OPERATOR_URL;
const deadlineMs = performance.now() + 10_000;

async function ask() {
  for (;;) {
    try {
      return await fetch(new URL('/readyz', address), { signal: AbortSignal.timeout(5000) });
    } catch (error) {
      // Where NetworkPolicies are enforced, the network learns a moment late that this pod may ask.
      if (performance.now() > deadlineMs) throw error;
      await delay(500);
    }
  }
}

const answer = await ask();
console.log(`${address}/readyz: ${answer.status} ${await answer.text()}`);
process.exitCode = answer.ok ? 0 : 1;
