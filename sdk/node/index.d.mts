export * from './types/index.js';
export { KeyNest as default } from './types/index.js';
