/** Colours, and whether there is a terminal that shows them. */

export const COLOR_MODES = ['auto', 'always', 'never'] as const;
export type ColorMode = (typeof COLOR_MODES)[number];

const CODES = { red: 31, green: 32, yellow: 33, blue: 34, cyan: 36, bold: 1, dim: 2 } as const;
export type Color = keyof typeof CODES;
export type Painter = (color: Color, text: string) => string;

/** Colour only on a terminal, and never where NO_COLOR is set to anything (https://no-color.org); `--color` has the last word. */
export function wantsColor(mode: ColorMode, stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  if (mode !== 'auto') return mode === 'always';
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

export const painter =
  (enabled: boolean): Painter =>
  (color, text) =>
    enabled && text !== '' ? `\x1b[${CODES[color]}m${text}\x1b[0m` : text;
