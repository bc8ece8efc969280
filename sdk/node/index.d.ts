export * from './types/index';
export { KeyNest as default } from './types/index';
