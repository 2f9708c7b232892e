/**
 * Accuracy against seconds of training, from the metrics of finished runs: a table, and curve.svg beside this file.
 *   npx jiti examples/sentiment/curve.ts runs/sentiment-1 runs/sentiment-2 runs/sentiment-3
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Point {
  seconds: number
  accuracy: number
}
interface Row {
  step: number
  seconds: number
  'eval/reward'?: number
}

const folders = process.argv.slice(2)
if (folders.length === 0) {
  console.error('name at least one run folder')
  process.exit(2)
}

const curves = folders.map((folder) => ({ name: basename(folder), points: pointsOf(folder) }))
for (const { name, points } of curves) {
  console.log(name)
  for (const { seconds, accuracy } of points) {
    console.log(`${seconds.toFixed(0).padStart(6)} s  ${(accuracy * 100).toFixed(1)} %`)
  }
}
const file = join(dirname(fileURLToPath(import.meta.url)), 'curve.svg')
writeFileSync(file, draw(curves.map(({ points }) => points)))
console.log(file)

function pointsOf(folder: string): Point[] {
  return readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
    .filter((row) => row['eval/reward'] !== undefined)
    .map((row) => ({ seconds: row.seconds, accuracy: row['eval/reward']! }))
}

/** One line per run, on axes of seconds and percent. */
function draw(lines: Point[][]): string {
  const [width, height, left, bottom] = [640, 360, 50, 40]
  const longest = Math.ceil(Math.max(...lines.flat().map(({ seconds }) => seconds)) / 100) * 100
  const x = (seconds: number): number => left + (seconds / longest) * (width - left - 20)
  const y = (accuracy: number): number => height - bottom - accuracy * (height - bottom - 20)
  const text = (at: [number, number], anchor: string, words: string): string =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}">${words}</text>`
  const grid = [0, 0.2, 0.4, 0.6, 0.8, 1].map(
    (value) =>
      `<line x1="${left}" x2="${width - 20}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>` +
      text([left - 8, y(value) + 4], 'end', `${Math.round(value * 100)} %`)
  )
  const ticks = Array.from({ length: longest / 100 + 1 }, (_, i) =>
    text([x(i * 100), height - bottom + 18], 'middle', String(i * 100))
  )
  const colors = ['#1b6ca8', '#c8553d', '#588b3c', '#7b4b94', '#8a6d3b']
  const paths = lines.map((points, i) => {
    const color = colors[i % colors.length]!
    const at = points.map(({ seconds, accuracy }) => `${x(seconds).toFixed(1)},${y(accuracy).toFixed(1)}`)
    const dots = at.map(
      (place) => `<circle cx="${place.split(',')[0]}" cy="${place.split(',')[1]}" r="3" fill="${color}"/>`
    )
    return `<polyline points="${at.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>${dots.join('')}`
  })
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="white"/>${grid.join('')}${ticks.join('')}` +
    `${text([(left + width - 20) / 2, height - 6], 'middle', 'seconds of training, evaluation left out')}` +
    `${paths.join('')}</svg>\n`
  )
}
