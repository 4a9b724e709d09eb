import { createServer } from 'node:net';

/** Below what the system gives to outgoing connections: none of them has the port when a server that was killed comes back to it. */
const range = { first: 16_384, count: 13_600 };
/** Test files run side by side: each looks from a place of its own. */
const blockSize = 16;
let next = (process.pid * blockSize) % range.count;

/** A port on which nobody listens, for programs that cannot be told to let the system choose. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < range.count; tries += 1) {
    const port = range.first + next;
    next = (next + 1) % range.count;
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  server.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') resolve(false);
    else reject(error);
  });
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  return await promise;
}
