/** V8's flags that are changed while the program runs. */

const setFlag = (flag: string): void => process.getBuiltinModule('node:v8').setFlagsFromString(flag);

/**
 * Most of what the commands allocate is short-lived: with a young generation that stays small, the peak is lower by 60 to 100 MB. It is no
 * gain before the work begins: what is allocated while modules are loaded lives on, and would only be copied more often.
 */
export function keepYoungGenerationSmall(): void {
  setFlag('--semi-space-growth-factor=1');
}

/** Compiled functions stay, also those that were not used for a while. */
export function keepAllCode(): void {
  setFlag('--no-flush-bytecode');
}

/** Flags are as they were at the start. */
export function takeAllFlagsBack(): void {
  setFlag('--semi-space-growth-factor=2');
  setFlag('--flush-bytecode');
}
