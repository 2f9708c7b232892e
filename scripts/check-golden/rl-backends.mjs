// The library's kernels as the golden cases call them, on one backend: floating arrays are rounded to float32 on the way
// in, and stay 64 bits wide (the reference) or become Float32Array (the kernels of the processor and of CUDA).

/** The arguments with every Float64Array replaced. */
function mapped(value, replace) {
  if (value instanceof Float64Array || value instanceof Float32Array) return replace(value)
  if (Array.isArray(value)) return value.map((item) => mapped(item, replace))
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item, replace)]))
}

function holdsNumbers(values) {
  let found = false
  const note = (array) => {
    found = true
    return array
  }
  mapped(values, note)
  return found
}

const isClass = (value) => /^class\b/.test(Function.prototype.toString.call(value))

/** The library with `call(function, arguments)` in place of each function. */
function wrapped(library, call) {
  return new Proxy(library, {
    get(_, name) {
      const value = library[name]
      if (typeof value !== 'function' || isClass(value)) return value
      return (...values) => call(value, values)
    }
  })
}

const rounded = (array) => Float64Array.from(array, Math.fround)

/** Numbers in 64 bits as float32 has them. */
export const roundedReference = (library) => wrapped(library, (call, values) => call(...mapped(values, rounded)))

/** The same, each moved by up to two units of float32's last place; the same way at each call with the same `seed`. */
export function movedReference(library, seed) {
  let state = seed
  const moved = (array) =>
    rounded(array).map((value) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return value * (1 + (((state >>> 8) % 5) - 2) * 2 ** -23)
    })
  return wrapped(library, (call, values) => call(...mapped(values, moved)))
}

const single = (array) => Float32Array.from(array)

/** The float32 kernels of the processor. */
export const singleOnCpu = (library) => wrapped(library, (call, values) => call(...mapped(values, single)))

/**
 * The CUDA kernels. What has none for a rule is computed by the processor; `count` learns of both.
 * @param count { ran, without: Set of what has no kernel }
 */
export function singleOnCuda(library, count) {
  return wrapped(library, (call, values) => {
    const arrays = mapped(values, single)
    if (!call.prepare) {
      if (holdsNumbers(values)) count.without.add(call.name)
      return call(...arrays)
    }
    try {
      const result = call(...arrays, { device: 'cuda' })
      count.ran++
      return result
    } catch (error) {
      if (error?.code !== 'DEVICE_UNSUPPORTED') throw error
      count.without.add(error.message)
      return call(...arrays)
    }
  })
}
