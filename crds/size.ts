/** Sizes: what a quantity that the schema accepts means. */
import { type Pattern, quantity, type Rule, type Schema } from './schema.ts';

const multipliers: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Bytes of a quantity that the schema accepts. */
export function bytesOf(value: number | string): number {
  const [, digits = '', suffix = ''] = /^([0-9]+)([A-Za-z]*)$/.exec(String(value)) ?? [];
  return Number(digits) * (multipliers[suffix] ?? Number.NaN);
}

/** Both bounds are quantities, inclusive. */
export function quantityBetween(least: string, most: string): Rule<number | string> {
  const value = 'quantity(string(self))';
  return {
    rule: `${value}.compareTo(quantity('${least}')) >= 0 && ${value}.compareTo(quantity('${most}')) <= 0`,
    message: `must be a size of ${least} to ${most}`,
    check: self => bytesOf(self) >= bytesOf(least) && bytesOf(self) <= bytesOf(most),
  };
}

const cpuPattern: Pattern = {
  regex: '^[1-9][0-9]{0,5}m?$',
  means: 'a number of CPUs such as 2 or 500m, without a fraction',
};

export function cpuQuantity(description: string, rules: readonly Rule<number | string>[]): Schema<number | string> {
  return quantity(description, rules, cpuPattern);
}

/** Thousandths of a CPU that a quantity of CPUs means. */
export function millicoresOf(value: number | string): number {
  const text = String(value);
  return text.endsWith('m') ? Number(text.slice(0, -1)) : Number(text) * 1000;
}

/** Both bounds are quantities, inclusive. */
export function cpuBetween(least: string, most: string): Rule<number | string> {
  const value = 'quantity(string(self))';
  return {
    rule: `${value}.compareTo(quantity('${least}')) >= 0 && ${value}.compareTo(quantity('${most}')) <= 0`,
    message: `must be CPUs of ${least} to ${most}`,
    check: self => millicoresOf(self) >= millicoresOf(least) && millicoresOf(self) <= millicoresOf(most),
  };
}
