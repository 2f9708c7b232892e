/** Ratings from comparisons: Bradley and Terry, Biometrika 39 (1952), with a normal prior on the ratings. */

/** One comparison. `share`: how far the first was preferred, 1 = wholly, 0.5 = a tie, 0 = not at all. */
export interface Game {
  first: number
  second: number
  share: number
}

export interface Ratings {
  /** Log-odds units with mean 0: P(i beats j) = 1 / (1 + exp(r_j - r_i)). */
  ratings: number[]
  /** Square roots of the diagonal of the inverse Fisher information, prior included. */
  standardErrors: number[]
}

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value))

/**
 * Most probable ratings under a normal prior with standard deviation `spread`: without one, an answer that wins every
 * game has no finite rating. Newton's method on a strictly concave function; the result does not depend on the order
 * of the games beyond rounding.
 */
export function bradleyTerry(count: number, games: readonly Game[], spread = 2): Ratings {
  const precision = 1 / (spread * spread)
  let ratings = new Array<number>(count).fill(0)
  for (let iteration = 0; iteration < 100; iteration++) {
    const gradient = ratings.map((rating) => -precision * rating)
    for (const { first, second, share } of games) {
      const surprise = share - sigmoid(ratings[first] - ratings[second])
      gradient[first] += surprise
      gradient[second] -= surprise
    }
    const step = solve(information(ratings, games, precision), gradient)
    // The curvature falls away from the solution, so a full step may go too far: never more than two units.
    const longest = Math.max(...step.map(Math.abs), 0)
    const scale = longest > 2 ? 2 / longest : 1
    ratings = ratings.map((rating, index) => rating + scale * step[index])
    if (longest < 1e-12) break
  }
  const inverse = information(ratings, games, precision)
  const standardErrors = ratings.map((_, index) => {
    const unit = ratings.map((_, other) => (other === index ? 1 : 0))
    return Math.sqrt(solve(inverse, unit)[index])
  })
  const mean = ratings.reduce((sum, rating) => sum + rating, 0) / Math.max(1, count)
  return { ratings: ratings.map((rating) => rating - mean), standardErrors }
}

/** Of each, the mean probability that it beats another; 0.5 where there is no other. */
export function winProbabilities(ratings: readonly number[]): number[] {
  return ratings.map((rating, index) => {
    const others = ratings.filter((_, other) => other !== index)
    if (others.length === 0) return 0.5
    return others.reduce((sum, other) => sum + sigmoid(rating - other), 0) / others.length
  })
}

function information(ratings: readonly number[], games: readonly Game[], precision: number): number[][] {
  const matrix = ratings.map((_, row) => ratings.map((_, column) => (row === column ? precision : 0)))
  for (const { first, second } of games) {
    const probability = sigmoid(ratings[first] - ratings[second])
    const weight = probability * (1 - probability)
    matrix[first][first] += weight
    matrix[second][second] += weight
    matrix[first][second] -= weight
    matrix[second][first] -= weight
  }
  return matrix
}

/** Solves a symmetric positive definite system by Cholesky's decomposition. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const size = right.length
  const lower = matrix.map((row) => row.map(() => 0))
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = matrix[row][column]
      for (let k = 0; k < column; k++) sum -= lower[row][k] * lower[column][k]
      lower[row][column] = row === column ? Math.sqrt(sum) : sum / lower[column][column]
    }
  }
  const result = [...right]
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < row; k++) result[row] -= lower[row][k] * result[k]
    result[row] /= lower[row][row]
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let k = row + 1; k < size; k++) result[row] -= lower[k][row] * result[k]
    result[row] /= lower[row][row]
  }
  return result
}
