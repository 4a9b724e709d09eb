/** The usual set-up of a journey: `dest.test` with one scripted MX, and retries soon enough to be waited for. */
import type { RelayConfigInput } from '../../relay/config.ts';
import { type Delivery, type DeliveryOptions, startDelivery } from './delivery.ts';
import { type MxOptions, type ScriptedMx, startScriptedMx } from './scripted-mx.ts';
import { startZone, type Zone, type ZoneTable } from './zone.ts';

export interface NextHopSetUp extends AsyncDisposable {
  readonly mx: ScriptedMx;
  readonly zone: Zone;
  readonly delivery: Delivery;
}

export interface NextHopOptions extends MxOptions {
  readonly zone?: ZoneTable;
  readonly config?: Partial<RelayConfigInput>;
  readonly delivery?: Partial<DeliveryOptions>;
}

export const usualZone: ZoneTable = {
  'dest.test': [{ type: 'MX', data: { preference: 10, exchange: 'mx.dest.test' } }],
  'mx.dest.test': [{ type: 'A', data: '127.0.0.1' }],
  'shop.example.com': [{ type: 'MX', data: { preference: 10, exchange: 'mx.dest.test' } }],
};

export async function startWithMx(options: NextHopOptions = {}): Promise<NextHopSetUp> {
  await using stack = new AsyncDisposableStack();
  const mx = stack.use(await startScriptedMx(options));
  const zone = stack.use(await startZone(options.zone ?? usualZone));
  const delivery = stack.use(
    await startDelivery({
      ...options.delivery,
      config: {
        nameservers: [zone.nameserver],
        retry: { initialDelaySeconds: 1, maxDelaySeconds: 1 },
        ...options.config,
        delivery: { mxPort: mx.port, ...options.config?.delivery },
      },
    }),
  );
  const owned = stack.move();
  return { mx, zone, delivery, [Symbol.asyncDispose]: async () => await owned.disposeAsync() };
}
