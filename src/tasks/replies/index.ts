/** The quickstart's task: short replies to customers of a small shop. */
export { checkReply, scoreOf, shortWords, type Truth } from './check.js'
export {
  manners,
  plainStock,
  richStock,
  writeMessage,
  writeReply,
  type CustomerMessage,
  type Manner,
  type Reply,
  type Stock
} from './generate.js'
export type { Split } from './grammar.js'
export { Random } from './random.js'
export { spoil } from './spoil.js'
export { items } from './words.js'
