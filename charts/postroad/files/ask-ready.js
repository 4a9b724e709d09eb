// `helm test`: the operator answers through its Service, and has read the cluster.
const address = process.env.OPERATOR_URL;
const answer = await fetch(new URL('/readyz', address), { signal: AbortSignal.timeout(20_000) });
console.log(`${address}/readyz: ${answer.status} ${await answer.text()}`);
process.exitCode = answer.ok ? 0 : 1;
