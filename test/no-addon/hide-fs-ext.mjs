// For `node --import`: a machine where the optional package fs-ext was not installed.
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'fs-ext')
      throw Object.assign(new Error("Cannot find module 'fs-ext'"), { code: 'MODULE_NOT_FOUND' });
    return next(specifier, context);
  },
});
