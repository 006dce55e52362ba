/** A repository that is opened when it is first asked for: some arguments need none. */

import type { Repository } from '../store/repository.ts';
import type { CliContext } from './context.ts';

export class LazyRepository implements AsyncDisposable {
  readonly #cli: CliContext;
  #opened: Promise<Repository> | undefined;

  constructor(cli: CliContext) {
    this.#cli = cli;
  }

  /** For passing on as a function. */
  readonly get = (): Promise<Repository> => {
    this.#opened ??= this.#cli.openRepository();
    return this.#opened;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    const repository = await this.#opened?.catch(() => undefined); // whoever asked was told
    await repository?.[Symbol.asyncDispose]();
  }
}
