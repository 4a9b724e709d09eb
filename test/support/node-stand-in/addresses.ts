/** Addresses for pods: a 127.x.0.0/16 that no other test process uses, which a listener held on its first address shows. */
import { createServer, type Server } from 'node:net';

export interface AddressBlock extends AsyncDisposable {
  next(): string;
}

const firstBlock = 20;
const blocks = 200;
/** Any port would do that pods do not use. */
const claimPort = 8079;

export async function claimAddresses(): Promise<AddressBlock> {
  for (let tried = 0; tried < blocks; tried += 1) {
    const block = firstBlock + ((process.pid + tried) % blocks);
    const claim = createServer(socket => socket.destroy());
    if (!(await listen(claim, claimPort, `127.${block}.0.1`))) continue;
    let count = 1;
    return {
      next() {
        count += 1;
        if (count > 0xfffe) throw new Error('no addresses are left');
        return `127.${block}.${count >> 8}.${count & 0xff}`;
      },
      [Symbol.asyncDispose]: () => closeServer(claim),
    };
  }
  throw new Error('every block of loopback addresses is in use');
}

/** False: somebody else listens there. */
export async function listen(server: Server, port: number, address: string): Promise<boolean> {
  return await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(port, address, () => resolve(true));
  });
}

export async function closeServer(server: Server): Promise<void> {
  await new Promise<void>(resolve => server.close(() => resolve()));
}
