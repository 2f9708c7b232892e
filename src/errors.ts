/**
 * Every error that adjudge throws on purpose carries a code of this table, from TypeScript and from the native engine
 * alike. Codes are stable and never reused; messages name the file, line or field, what was expected, and the cure.
 */
export const errorCodes = {
  ADAPTER_INVALID: 'An adapter has a wrong or missing value, tensor or shape',
  ADAPTER_UNSUPPORTED: 'An adapter uses a method that adjudge does not have',
  ADDON_NOT_BUILT: 'The native addon is missing or cannot be loaded',
  ALGORITHM_INVALID: 'An RL algorithm or preset has a wrong field or value',
  ALL_UNSCORED: 'The judge gave no usable score for a whole step',
  ARGUMENT_INVALID: 'An argument has a wrong type, shape or range',
  BATCH_TOO_SMALL: 'An algorithm has no meaning for a batch as small as this one',
  BUDGET_REACHED: 'The token or money limit of the run was reached',
  BUFFER_BUSY: 'Another job is writing to this buffer',
  BUFFER_DETACHED: 'A buffer was transferred and has no memory any more',
  BUFFER_OVERLAP: 'Memory that a call writes to is used by another of its arrays',
  CANCELLED: 'The work was cancelled by its signal',
  CHECKPOINT_INVALID: 'A checkpoint is incomplete, corrupted or of another run',
  CONFIG_INVALID: 'A configuration has a wrong key or value',
  CONTEXT_EXCEEDED: 'A sequence is longer than the context of the model',
  CPU_UNSUPPORTED: 'The processor lacks the instruction set that was asked for',
  DATA_EMPTY: 'A data set has no items',
  DATA_INVALID: 'A line of a data set cannot be read',
  DEVICE_FAILED: 'A GPU could not do what was asked of it',
  DEVICE_MEMORY: 'The memory of a GPU does not suffice',
  DEVICE_UNAVAILABLE: 'The device that was asked for cannot be used here',
  DEVICE_UNSUPPORTED: 'The device that was asked for does not compute this',
  DISK_FULL: 'The disk is full',
  DISPOSED: 'The object was disposed and cannot be used any more',
  FILE_CORRUPT: 'A file is truncated, or its contents contradict each other',
  FILE_LOCKED: 'Another process is working with a file or folder',
  FILE_NOT_FOUND: 'A file or folder does not exist',
  FILE_UNREADABLE: 'A file cannot be read',
  FILE_UNWRITABLE: 'A file cannot be written: permission, full disk or a missing folder',
  FORMAT_NEWER: 'The file was written by a newer version of adjudge',
  FUNCTION_INVALID: 'A reward or judge function cannot be loaded or returned something that is no score',
  GGUF_INVALID: 'A GGUF file is truncated or contradicts itself',
  GRADER_INVALID: 'A grader has a wrong field or value',
  GRADIENT_NOT_FINITE: 'A gradient is infinite or not a number',
  INTERNAL: 'A defect in adjudge itself',
  JSON_INVALID: 'A text is not valid JSON',
  JUDGE_INVALID: 'A judge has a wrong option',
  JUDGE_UNREACHABLE: 'The judge cannot be reached',
  LEDGER_FORMAT: 'The ledger has another format or belongs to something else',
  LEDGER_OPEN: 'The ledger cannot be opened',
  LEDGER_WRITE: 'A verdict cannot be written to the ledger',
  LORA_INVALID: 'A LoRA option is wrong',
  MEMORY_EXCEEDED: 'The plan needs more memory than there is',
  MODEL_INVALID: 'A model has a missing tensor, a wrong shape or a wrong config',
  NOT_TRAINABLE: 'The model was loaded without gradients',
  PERMISSION_DENIED: 'A file may not be read or written',
  REWARD_INVALID: 'A reward is infinite or not a number',
  RUBRIC_INVALID: 'A rubric has a wrong field or value',
  SAFETENSORS_INVALID: 'A safetensors file is truncated or contradicts itself',
  TENSOR_INVALID: 'A tensor has a wrong type, shape or range',
  TOKENIZER_INVALID: 'The tokenizer is missing, cannot be read, or does not fit the model',
  TOKEN_OUT_OF_RANGE: 'A token id lies outside the vocabulary',
  UNSUPPORTED_FAMILY: 'The model family is not supported',
  UNSUPPORTED_TENSOR_TYPE: 'A GGUF file stores a tensor in a type that adjudge does not read'
} as const

export type ErrorCode = keyof typeof errorCodes

export class AdjudgeError extends Error {
  override readonly name = 'AdjudgeError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** True for errors of adjudge; the native engine's errors become `AdjudgeError` at the binding. */
export function isAdjudgeError(error: unknown): error is AdjudgeError {
  return error instanceof AdjudgeError
}
