// Shared by the mappings: rectangular golden arrays become packed ones.

export const flat = (rows) => Float64Array.from(rows.flat(), (value) => value ?? NaN)

/** Boundaries of B rows of T tokens each. */
export const boundaries = (rows, tokens) => Int32Array.from({ length: rows + 1 }, (_, row) => row * tokens)

export const maskOf = (rows) => Uint8Array.from(rows.flat())

/** The values at counted tokens only: outside the mask peers leave what their recursion put there. */
export const counted = (values, mask) => Array.from(values).filter((_, index) => mask[index] !== 0)

/** An order in which the rows of a group are neighbours, and the groups' boundaries. */
export function groupsOf(groupIndex) {
  const order = groupIndex.map((_, row) => row)
  const rank = new Map()
  for (const group of groupIndex) if (!rank.has(group)) rank.set(group, rank.size)
  order.sort((left, right) => rank.get(groupIndex[left]) - rank.get(groupIndex[right]) || left - right)
  const offsets = [0]
  for (let place = 1; place <= order.length; place++) {
    if (place === order.length || groupIndex[order[place]] !== groupIndex[order[place - 1]]) offsets.push(place)
  }
  return { order, groupOffsets: Int32Array.from(offsets) }
}
