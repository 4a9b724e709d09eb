/** Runs in a pod, from standard input: `HOST:PORT...`. Prints those to which a connection comes about, as JSON. */
import { connect } from 'node:net';

const limitMs = 3000;

async function isOpen(target: string): Promise<boolean> {
  const [host, port] = target.split(':');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port: Number(port) }, () => resolve(true));
  // What a network does with what it does not let through: it says so, or says nothing.
  socket.on('error', () => resolve(false));
  socket.setTimeout(limitMs, () => resolve(false));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

const targets = process.argv.slice(2);
const opened = await Promise.all(targets.map(isOpen));
console.log(JSON.stringify(targets.filter((_, index) => opened[index])));
