/** The forms of a call on the RL kernels: at once, prepared for many calls, and as a promise. */
import { markAsUntransferable } from 'node:worker_threads'
import { callJob, fromNative } from '../binding/errors.js'
import { AdjudgeError } from '../errors.js'
import type { NativeKernel } from './nativeKernel.js'
import { recent } from './recent.js'

/**
 * What computes a call. `cuda` takes Float32Array, copies the arrays to the GPU and the results back; both agree to
 * 1e-5 · (1 + |value|). `auto` is the processor, unless a GPU can be used and the arrays of the call are 256 MiB or more
 * (ADJUDGE_CUDA_AUTO_BYTES: another number of bytes).
 */
export type Device = 'auto' | 'cpu' | 'cuda'

export interface DeviceOptions {
  /**
   * Default `auto`. `cuda` rejects with `DEVICE_UNAVAILABLE` where no GPU can be used (the message says why),
   * `DEVICE_UNSUPPORTED` for a rule without a CUDA kernel or a Float64Array, `DEVICE_MEMORY`, `DEVICE_FAILED`.
   */
  device?: Device
}

export interface AsyncOptions {
  /** Ends the work at its next stage (a check of an array, the kernel); the promise rejects with `CANCELLED`. */
  signal?: AbortSignal
}

/**
 * A call whose rule is validated and read once: what a training loop calls at every step.
 *
 * The result is an object of its own each time; its arrays are those of `out` where the input has them, else new ones.
 * An output may share memory with no other array of the call.
 */
export interface Prepared<Input, Result> {
  /** Computes on this thread: for a small batch. Any size is allowed, and blocks the event loop as long as it takes. */
  (input: Input): Result
  /**
   * Computes on the engine's threads: for a large batch. Until the promise settles the arrays belong to the job: no other
   * call may write them, nor read what it writes (`BUFFER_BUSY`, in whichever worker thread). Their ArrayBuffers cannot be
   * transferred to another thread any more; share them (SharedArrayBuffer) instead. Do not call their `transfer()` while
   * the job runs: nothing can forbid it.
   * @throws AdjudgeError as the plain call, `CANCELLED`, `BUFFER_BUSY`; always as a rejection.
   */
  async(input: Input, options?: AsyncOptions): Promise<Result>
}

/** A call in its three forms. `Options` is what {@link RlCall.prepare} completes and validates. */
export interface RlCall<Spec, Options, Input, Result> {
  (spec: Spec, input: Input, options?: DeviceOptions): Result
  /** The same on the engine's threads, see {@link Prepared.async}. */
  async(spec: Spec, input: Input, options?: AsyncOptions & DeviceOptions): Promise<Result>
  /** Validates and reads the rule once, for a loop. A preset's name or a partial record will do. */
  prepare(spec: Options, options?: DeviceOptions): Prepared<Input, Result>
}

/** A call without a rule in its three forms: all that is read once is the device. */
export interface PlainCall<Input, Result> {
  (input: Input, options?: DeviceOptions): Result
  /** The same on the engine's threads, see {@link Prepared.async}. */
  async(input: Input, options?: AsyncOptions & DeviceOptions): Promise<Result>
  /** Chooses the device once, for a loop. */
  prepare(options?: DeviceOptions): Prepared<Input, Result>
}

/** The arguments of one kernel call by position, those that are written last, and what the result is made of. */
export interface Bound<Output> {
  values: readonly unknown[]
  output: Output
}

/** A job's memory may neither move nor shrink while it runs. */
function hold(values: readonly unknown[]): void {
  for (const value of values) {
    if (!ArrayBuffer.isView(value)) continue
    const { buffer } = value
    if (buffer instanceof SharedArrayBuffer) continue
    if ((buffer as { resizable?: boolean }).resizable) {
      throw new AdjudgeError(
        'ARGUMENT_INVALID',
        'An array lies in a resizable ArrayBuffer, which may shrink while the job runs: give one of a fixed length'
      )
    }
    markAsUntransferable(buffer)
  }
}

/**
 * @param count scalar results of the kernel.
 * @param bind checks an input and lays out its arguments.
 * @param report makes the result of what was written.
 */
export function preparedCall<Input, Output, Result>(
  kernel: NativeKernel,
  count: number,
  bind: (input: Input) => Bound<Output>,
  report: (output: Output, numbers: Float64Array) => Result
): Prepared<Input, Result> {
  const shared = new Float64Array(count)
  const call = (input: Input): Result => {
    const { values, output } = bind(input)
    try {
      kernel(false, shared, ...values)
    } catch (error) {
      throw fromNative(error)
    }
    return report(output, shared)
  }
  const later = async (input: Input, options: AsyncOptions = {}): Promise<Result> => {
    const { values, output } = bind(input)
    hold(values)
    const numbers = new Float64Array(count)
    await callJob(() => kernel(true, numbers, ...values), options.signal)
    return report(output, numbers)
  }
  return Object.assign(call, { async: later })
}

/**
 * The three forms of a call on a rule.
 * @param prepare passes `device` on as a key of the rule that the addon reads.
 */
export function rlCall<Spec, Options, Input, Result>(
  prepare: (spec: Spec, device: Device | undefined) => Prepared<Input, Result>,
  resolve: (options: Options) => Spec
): RlCall<Spec, Options, Input, Result> {
  const last = recent(({ spec, device }: { spec: Spec; device: Device | undefined }) => prepare(spec, device))
  const plain = (spec: Spec, device: Device | undefined) => last({ spec, device })
  return Object.assign((spec: Spec, input: Input, options?: DeviceOptions) => plain(spec, options?.device)(input), {
    prepare: (spec: Options, options?: DeviceOptions) => prepare(resolve(spec), options?.device),
    async: async (spec: Spec, input: Input, options?: AsyncOptions & DeviceOptions) =>
      plain(spec, options?.device).async(input, options)
  })
}

/**
 * The three forms of a call without a rule.
 * @param prepare is called once per device, by the first call, so that an import loads nothing.
 */
export function plainCall<Input, Result>(
  prepare: (device: Device | undefined) => Prepared<Input, Result>
): PlainCall<Input, Result> {
  const known = new Map<Device | undefined, Prepared<Input, Result>>()
  const on = (options?: DeviceOptions): Prepared<Input, Result> => {
    const device = options?.device
    const prepared = known.get(device) ?? prepare(device)
    known.set(device, prepared)
    return prepared
  }
  return Object.assign((input: Input, options?: DeviceOptions) => on(options)(input), {
    prepare: on,
    async: async (input: Input, options?: AsyncOptions & DeviceOptions) => on(options).async(input, options)
  })
}
