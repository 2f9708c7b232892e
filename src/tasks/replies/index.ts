/** The quickstart's task: short replies to customers of a small shop. */
export { checkReply, shortWords } from './check.js'
export {
  manners,
  scoreOf,
  writeMessage,
  writeReply,
  type CustomerMessage,
  type Manner,
  type Reply,
  type Split,
  type Truth
} from './generate.js'
export { subjects, type Subject } from './phrases.js'
export { Random } from './random.js'
